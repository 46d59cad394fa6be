"""The commands that `data check` advises: one for all that is to be mended of a set, so that none undoes what another does."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mitlgan.data.build.prepare_image import PrepareSettings, is_choice
from mitlgan.data.build.typed_options import changed_options
from mitlgan.data.layers.cut_confidence import MIN_CONFIDENCE, MIN_FILL_CONFIDENCE
from mitlgan.data.layers.holdout import DEFAULT_HOLDOUT
from mitlgan.data.layers.split import SplitSettings
from mitlgan.data.layers.split_output import SPLIT_MANIFEST, SplitOutput
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.sources.image_source import MAX_UNREADABLE_FRACTION
from mitlgan.data.sources.leftovers import divide_skipped
from mitlgan.runtime.command_line import command_line, option_words
from mitlgan.runtime.files import sibling_path

if TYPE_CHECKING:
    from mitlgan.data.curate.check import PictureStats, SetReport

PLACEHOLDER_COPIES = PrepareSettings().placeholder_copies
MIN_PX = 64  # fewer are blurred in larger trainings
PICTURES = "PICTURES"
"""Placeholder in commands for the source of a pack or of copies, which is unknown: a pack itself can be neither prepared nor split."""


class FreeNames:
    """Names of outputs that do not exist, each given once."""

    def __init__(self) -> None:
        self._given: set[Path] = set()

    def beside(self, spec: str, word: str) -> str:
        """Return a path next to a set, with its name and a word, and a number if there is such a path already."""
        path = Path(spec)
        whole = path.with_suffix("") if path.is_file() else path
        suffixes = [f"-{word}" if word else "", *(f"-{word}-{number}" if word else f"-{number}" for number in range(2, 1000))]
        paths = [sibling_path(whole, suffix) for suffix in suffixes if suffix]
        chosen = next((one for one in paths if one not in self._given and not one.exists()), paths[-1])
        self._given.add(chosen)
        return str(chosen)


class Remedy:
    """One command, whose options are added as findings ask for them.

    Args:
        words: The command up to its source; they begin after `mitlgan`.
        out: Where it writes.
    """

    def __init__(self, words: Sequence[str], out: str) -> None:
        self.words, self.out = list(words), out
        self.options: dict[str, str] = {}

    def command(self) -> str:
        """Return the command with the options so far."""
        return command_line([*self.words, "--out", self.out, *option_words(self.options.items())])


class PrepareRemedy(Remedy):
    """`data prepare` of a set, of the size that suits its pictures; of a pack, with the options that made it.

    Args:
        reports: All splits of the set.
        out: Where it writes.
    """

    def __init__(self, reports: Sequence[SetReport], out: str) -> None:
        pack = next((report.content for report in reports if isinstance(report.content, ImagePack)), None)
        super().__init__(["data", "prepare", PICTURES if pack else reports[0].spec], out)
        self._reports, self._pack = reports, pack
        self._left_out = {id(one) for report in reports for one in report.pictures if one.hash.is_blank}
        self._against: dict[str, None] = {}
        self.keeps_copies = False

    def leave_out(self, pictures: Iterable[PictureStats], options: Mapping[str, str]) -> bool:
        """Add options that leave out some pictures; return False, and add nothing, if none would be left of all."""
        left_out = self._left_out | {id(one) for one in pictures}
        if len(left_out) >= sum(len(report.pictures) for report in self._reports):
            return False
        self._left_out = left_out
        self.options |= options
        return True

    def dedupe(self, against: str = "", *, keep_copies: bool = False) -> None:
        """Keep one of each picture, and none that another set has; with `keep_copies` also one of a file that comes as often as a placeholder."""
        self.options["--dedupe"] = "near"
        self._against |= {against: None} if against else {}
        self.keeps_copies |= keep_copies

    def command(self) -> str:
        """Return the command; a file that comes as often as a placeholder is left out, unless nothing else would be left."""
        words = [*self.words, "--out", self.out, *self._recorded(), *option_words(self.options.items())]
        words += [word for against in self._against for word in ("--against", against)]
        copies = Counter(one.hash.sha256 for report in self._reports for one in report.pictures)
        if self.keeps_copies or min(copies.values(), default=0) >= PLACEHOLDER_COPIES:
            words += ["--placeholder-copies", "0"]
        return command_line([*words, *(["--allow-bad"] if self._has_bad() else [])])

    def _recorded(self) -> list[str]:
        """Return size and transparency, and what else a pack was made with."""
        alpha = any(one.mode == "RGBA" for report in self._reports for one in report.pictures)
        made_by = self._pack.manifest["made_by"] if self._pack else {}
        if self._pack is None or made_by.get("work") != "prepare":
            return ["--size", str(self._suitable_px()), *(["--keep-alpha"] if alpha else [])]
        settings = dict(made_by["settings"])
        exclude, against = settings.pop("exclude", ()), settings.pop("against", ())
        for name, option in (("dedupe", "--dedupe"), ("min_size_px", "--min-size"), ("max_aspect", "--max-aspect")):
            settings.pop(name) if option in self.options else None
        size_px = settings.pop("size_px", self._pack.size_px)
        words = ["--size", str(size_px), *changed_options(settings, asdict(PrepareSettings()))]
        words += ["--exclude", str(self._pack.path.with_suffix(".json"))] if exclude else []
        return words + [word for one in against if one not in self._against for word in ("--against", str(one))]

    def _suitable_px(self) -> int:
        pictures = [one for report in self._reports for one in report.pictures]
        kept = [one for one in pictures if id(one) not in self._left_out] or pictures
        shorter = [min(one.width, one.height) for one in kept] or [MIN_PX]
        return 1 << max(3, min(7, int(math.log2(statistics.median(shorter)))))

    def _has_bad(self) -> bool:
        if self._pack is None:
            return any(report.unreadable for report in self._reports)
        unpacked, _ = divide_skipped(self._pack.manifest)
        return any(not is_choice(entry["reason"]) for entry in unpacked)


class SplitRemedy(Remedy):
    """`data split` of a set; of what an earlier one wrote, the whole command that made it, in another folder.

    Args:
        report: A set.
        output: Where it comes from; None if `data split` did not write it.
        out: Where it writes.
    """

    def __init__(self, report: SetReport, output: SplitOutput | None, out: str) -> None:
        source = (output.source if output else "") or report.spec
        known = not isinstance(report.content, ImagePack) and Path(source).exists()
        super().__init__(["data", "split", source if known else PICTURES], out)
        self._limits = dict(output.settings.get("gate") or {}) if output else {}
        self._output, self._has_bad = output, bool(report.unreadable)

    def limit(self, option: str, name: str, value: float, *, is_maximum: bool) -> bool:
        """Add a limit; return False, and add nothing, if the earlier call had one that is as strict."""
        recorded = self._limits.get(name)
        if recorded is not None and (recorded <= value if is_maximum else recorded >= value):
            return False
        self.options[option] = f"{value:g}"
        return True

    def command(self) -> str:
        """Return the command."""
        recorded = recorded_split_options(self._output, self.options) if self._output else ["--allow-bad"] * self._has_bad
        return command_line([*self.words, "--out", self.out, *option_words(self.options.items()), *recorded])


def recorded_split_options(output: SplitOutput, but: Collection[str] = (), *, with_choices: bool = True) -> list[str]:
    """Return the options that a call of `data split` was given, by what it recorded.

    Args:
        output: What it wrote.
        but: Options to leave out, because the command sets them itself.
        with_choices: Also name what was excluded and kept, which the folder itself remembers.
    """
    settings = {key: value for key, value in output.settings.items() if key != "gate"}
    settings["gate"] = {key: value for key, value in (output.settings.get("gate") or {}).items() if _LIMIT_OPTIONS.get(key, key) not in but}
    words = changed_options(settings, SplitSettings().cut_settings_to_json())
    choices = output.choices
    values = (
        ("--holdout", output.holdout or DEFAULT_HOLDOUT, DEFAULT_HOLDOUT),
        ("--min-confidence", choices.get("cut", MIN_CONFIDENCE), MIN_CONFIDENCE),
        ("--min-fill-confidence", choices.get("fill", MIN_FILL_CONFIDENCE), MIN_FILL_CONFIDENCE),
    )
    words += option_words((option, value) for option, value, usual in values if value != usual)
    record = str(output.shown_out / SPLIT_MANIFEST)
    words += option_words((f"--{name}", record) for name in ("exclude", "keep") if with_choices and choices.get(name))
    return words + ["--allow-bad"] * (output.unreadable_fraction > MAX_UNREADABLE_FRACTION)


_LIMIT_OPTIONS = {"min_area": "--min-object-area", "max_area": "--max-object-area", "max_border": "--max-border"}


def augment_command(pictures: str, out: str, factor: int, settings: Mapping[str, Any]) -> str:
    """Return `data augment` with a factor and, for the rest, the settings that made earlier copies, if there are any."""
    from mitlgan.data.build.offline_augment import AugmentSettings  # imports torch

    others = {key: value for key, value in settings.items() if key != "factor"}
    return command_line(["data", "augment", pictures, "--out", out, "--factor", str(factor), *changed_options(others, asdict(AugmentSettings()))])
