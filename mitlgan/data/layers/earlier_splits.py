"""Work of `data split` by earlier versions: what of it is read or cut again, so that it ends as work of this version does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

from mitlgan.data.build.journal import EarlierWork
from mitlgan.data.build.parallel import in_order
from mitlgan.data.decode.image_file import UnreadableImageError, parse_header, read_header
from mitlgan.data.layers.cut import CutSettings, hash_middle
from mitlgan.data.sources.entry import ImageEntry
from mitlgan.data.sources.image_source import ImageSource
from mitlgan.errors import translate_resource_faults
from mitlgan.runtime.files import translate_disk_errors
from mitlgan.runtime.progress import Say

WHOLE_VERSION = 9
"""Its work goes on: since then photographs stay together, too, of which only the squares in the middle look alike; they are read, not cut again."""
UNHASHED_VERSION = 8
"""Its work goes on, too: since then the hash of a picture with transparency tells it from others of its outline and colour; cuts are what they were."""
EARLIER_VERSION = 7
"""Its work goes on, too: since then mattes are judged by other rules and more kinds of TIFF can be read."""
_TIFF_SUFFIXES = (".tif", ".tiff")


def find_earlier_works(source: ImageSource, journal: Path, header: Mapping[str, Any], settings: CutSettings, say: Say) -> list[EarlierWork]:
    """Return the works of earlier versions that go on as this: with a line of each picture that is cut again, `outdated`, the time of its work.

    Args:
        source: The pictures.
        journal: Of the work, whether it exists or not.
        header: Of the work of this version.
        settings: How pictures are cut.
        say: Receives in one line that pictures are read which are not cut again.
    """
    written_ns = _modified(journal)
    judged = {entry.name for entry in source.entries if entry.matte is not None or entry.name.lower().endswith(_TIFF_SUFFIXES)}

    @cache
    def transparent() -> frozenset[str]:
        return frozenset(entry.name for entry in source.iterate() if _may_be_transparent(entry))

    @cache
    def middles() -> dict[str, dict[str, Any]]:
        return _hash_middles(source, settings, say)

    def is_unhashed(line: Mapping[str, Any]) -> bool:
        return "sha256" in line and "cutout" not in line and line["name"] in transparent()

    def is_judged_by_other_rules(line: Mapping[str, Any]) -> bool:
        return "unreadable" in line or line["name"] in judged or is_unhashed(line)

    def revise(is_outdated: Callable[[Mapping[str, Any]], bool], line: dict[str, Any]) -> dict[str, Any]:
        if "outdated" in line:  # some are, if a call was killed
            return line
        return line | ({"outdated": written_ns} if is_outdated(line) else middles().get(line["name"], {}) if _is_elongated(line) else {})

    return [
        EarlierWork({**header, "version": version}, partial(revise, is_outdated))
        for version, is_outdated in ((EARLIER_VERSION, is_judged_by_other_rules), (UNHASHED_VERSION, is_unhashed), (WHOLE_VERSION, lambda _: False))
    ]


def _is_elongated(line: Mapping[str, Any]) -> bool:
    return bool(line.get("width") != line.get("height"))


def _hash_middles(source: ImageSource, settings: CutSettings, say: Say) -> dict[str, dict[str, Any]]:
    """Return what `hash_middle` does, for each picture that is no square, by its name."""

    def hash_entry(entry: ImageEntry) -> dict[str, Any]:
        with translate_resource_faults(f"picture {entry.name!r}"), suppress(UnreadableImageError):
            return hash_middle(entry, settings)
        return {}

    say("an earlier version's work goes on: pictures that are no squares are read again, and may change the split to be with those of the same middle")
    return {entry.name: middle for entry, middle in in_order(source.iterate(), hash_entry) if middle}


def _may_be_transparent(entry: ImageEntry) -> bool:
    try:
        header = read_header(entry.file) if entry.file else parse_header(content := entry.read(), len(content))
    except UnreadableImageError:  # of some good ones, the header is at the end
        return True
    return header.may_be_transparent


def _modified(path: Path) -> int:
    """Return when a file was last written, in ns; 0 if there is none."""
    with translate_disk_errors(path), suppress(FileNotFoundError):
        return path.stat().st_mtime_ns
    return 0
