"""A ranking of many runs: one table for each set of pictures, as HTML, Markdown and JSON."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup
from PIL import Image

from mitlgan.images.encode import encode_image
from mitlgan.report.formatting import DASH, duration, number, printable
from mitlgan.runtime.files import ensure_folder, write_atomically
from mitlgan.runtime.progress import finite

CAVEAT = (
    "The printed figures are the sources' own. They cannot be compared with ours, nor across sets: another network of features (FID is measured on "
    "Inception), other and more pictures, another number of samples, the full length of training, and, for Akel's two sets, two scales. They are "
    "here to compare their order with ours, no more."
)
READING = (
    "KID is the kernel distance: 0 for two sets of one kind, and its spread is over subsets. Each row's stands between that of its own untrained "
    "network and that of two halves of the real pictures; 'closed' is how much of that gap its training closed. One seed: rows whose spreads touch "
    "are not told apart."
)


@dataclass(frozen=True)
class RankedRun:
    """One run of a ranking.

    Args:
        name: Of its recipe.
        size_px: Of its pictures.
        channels: Likewise.
        data: Their name.
        objective: Its kind.
        networks: Kinds of generator and critic.
        batch: Pictures of one update.
        iterations: Generator updates done.
        seconds: Time of training.
        trained: fd, kid, kid_std; empty where it was not measured.
        untrained: The same of the network before its first update.
        real_halves: The same of two halves of the real pictures.
        printed: What the recipe's source prints of its own run.
        notes: What went wrong, dated.
        run_dir: Its run.
        grid: A PNG of its last samples.
        split: Of the real pictures that it was measured on; empty where it was not.
        real: How many those were.
        diverged: Whether its training had; it is measured, and has no place.
    """

    name: str
    size_px: int
    channels: int
    data: str
    objective: str
    networks: str
    batch: int
    iterations: int
    seconds: float
    trained: Mapping[str, float]
    untrained: Mapping[str, float]
    real_halves: Mapping[str, float]
    printed: str = ""
    notes: Sequence[str] = ()
    run_dir: str = ""
    grid: bytes | None = None
    diverged: bool = False
    split: str = ""
    real: int = 0

    @property
    def kid(self) -> float | None:
        """Its kernel distance, if it was measured."""
        return finite(self.trained.get("kid"))

    @property
    def ranks(self) -> bool:
        """Whether it has a place: it was measured, and its training had not diverged."""
        return self.kid is not None and not self.diverged

    @property
    def closed(self) -> float | None:
        """How much of the gap between its untrained network and real pictures its training closed; 1 is all."""
        ends = finite(self.untrained.get("kid")), finite(self.real_halves.get("kid"))
        if self.kid is None or ends[0] is None or ends[1] is None or ends[0] <= ends[1]:
            return None
        return (ends[0] - self.kid) / (ends[0] - ends[1])


@dataclass(frozen=True)
class Ranking:
    """All that one ranking shows.

    Args:
        rows: In any order.
        protocol: How all were measured.
        command: That made it.
        made_by: Program and version.
    """

    rows: Sequence[RankedRun]
    protocol: Mapping[str, Any]
    command: str
    made_by: str

    def groups(self) -> list[tuple[str, list[RankedRun]]]:
        """Rows by set of pictures, the best first, then those that had diverged, and last those that were not measured."""
        names = dict.fromkeys((f"{row.data}, {row.size_px} px, {'grey' if row.channels == 1 else 'colour'}") for row in self.rows)
        groups: dict[str, list[RankedRun]] = {name: [] for name in names}
        for row in self.rows:
            groups[f"{row.data}, {row.size_px} px, {'grey' if row.channels == 1 else 'colour'}"].append(row)
        return [(name, sorted(rows, key=lambda row: (row.kid is None, row.diverged, row.kid or 0.0, row.name))) for name, rows in groups.items()]


class RankingPaths(NamedTuple):
    """Where a ranking lies."""

    html: Path
    md: Path
    json: Path


HEADINGS = (
    "",
    "recipe",
    "objective",
    "generator / critic",
    "iterations x batch",
    "time",
    "FD",
    "KID",
    "KID untrained",
    "KID real halves",
    "closed",
    "printed",
    "notes",
)


def cells(place: int, row: RankedRun) -> list[str]:
    """A row in words, under `HEADINGS`."""
    spread = finite(row.trained.get("kid_std"))
    kid = DASH if row.kid is None else f"{row.kid:.3f}" + (f" +- {spread:.3f}" if spread is not None else "")
    ends = [finite(part.get("kid")) for part in (row.untrained, row.real_halves)]
    return [
        str(place) if row.ranks else DASH, row.name, row.objective, row.networks, f"{row.iterations:,} x {row.batch}", duration(row.seconds),
        number(finite(row.trained.get("fd"))), kid, *(DASH if end is None else f"{end:.3f}" for end in ends),
        DASH if row.closed is None else f"{row.closed:.0%}", row.printed or DASH, "; ".join(row.notes),
    ]  # fmt: skip


def write_ranking(out: Path, ranking: Ranking) -> RankingPaths:
    """Write `ranking.html` (self-contained), `ranking.md` and `ranking.json`.

    Raises:
        ResourceError: The folder cannot be written.
    """
    ensure_folder(out)
    paths = RankingPaths(out / "ranking.html", out / "ranking.md", out / "ranking.json")
    for path, text in zip(paths, (_html(ranking), ranking_markdown(ranking), _json(ranking)), strict=True):
        write_atomically(path, text)
    return paths


def ranking_summary(ranking: Ranking) -> dict[str, Any]:
    """The ranking's numbers."""
    groups = {name: [_placed(row, place) for place, row in enumerate(rows, start=1)] for name, rows in ranking.groups()}
    return {"groups": groups, "protocol": dict(ranking.protocol), "command": ranking.command, "made_by": ranking.made_by, "caveat": CAVEAT}


def ranking_markdown(ranking: Ranking) -> str:
    """The tables in Markdown."""
    lines = ["# Ranking", "", READING, "", CAVEAT, ""]
    for name, rows in ranking.groups():
        lines += [f"## {name}", "", "| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS)]
        lines += ["| " + " | ".join(printable(cell).replace("|", "/") for cell in cells(place, row)) + " |" for place, row in enumerate(rows, start=1)]
        lines.append("")
    return "\n".join([*lines, _measured_by(ranking), "", f"`{ranking.command}`", "", ranking.made_by, ""])


def _measured_by(ranking: Ranking) -> str:
    protocol = ranking.protocol
    against = dict.fromkeys(f"{row.real:,} real {row.split} pictures of {row.data}" for row in ranking.rows if row.split)
    real = " against " + ", ".join(against) if against else f", split {protocol['split']}"
    return f"Measured by {protocol['extractor']}, {protocol['samples']} samples{real}, seed {protocol['seed']}."


def _json(ranking: Ranking) -> str:
    return json.dumps(ranking_summary(ranking), indent=2, allow_nan=False) + "\n"


def _placed(row: RankedRun, place: int) -> dict[str, Any]:
    return {**_plain(row), "closed": row.closed, "place": place if row.ranks else None}


def _plain(row: RankedRun) -> dict[str, Any]:
    values = asdict(row)
    del values["grid"]
    return values


def _html(ranking: Ranking) -> str:
    loader = jinja2.PackageLoader("mitlgan", "report")
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    groups = [
        (name, [[printable(cell) for cell in cells(place, row)] for place, row in enumerate(rows, start=1)], [_figure(row) for row in rows])
        for name, rows in ranking.groups()
    ]
    return environment.get_template("ranking.html.j2").render(
        style=Markup(loader.get_source(environment, "page.css")[0]), groups=groups, headings=HEADINGS, reading=READING, caveat=CAVEAT,
        measured=_measured_by(ranking), command=ranking.command, made_by=ranking.made_by,
    )  # fmt: skip


def _figure(row: RankedRun) -> tuple[str, str]:
    uri = "" if row.grid is None else "data:image/webp;base64," + base64.b64encode(_smaller(row.grid)).decode("ascii")
    return row.name, uri


def _smaller(grid: bytes) -> bytes:
    """The same picture as WebP: a page of many shows what each is like; the run keeps the PNG."""
    with Image.open(io.BytesIO(grid)) as picture:
        return encode_image(picture.convert("RGB"), "WEBP", quality=80, method=6)
