"""Finds the photograph of a file that `data split` wrote; all its files must be in the same split."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from mitlgan.data.sources.split_folders import SPLITS, TRAIN

SPLIT_MANIFEST = "split.json"


class SplitOutput:
    """The files that a call of `data split` wrote.

    Args:
        out: Its folder.
        source: What was split, as the user named it; empty if the manifest does not say so.
        records: Records of its manifest.
    """

    def __init__(self, out: Path, source: str, records: list[dict[str, object]]) -> None:
        self.out, self.source = out, source
        self._photographs = {
            f"{str(file).split('/')[0]}/{str(file).split('/')[-1]}": str(record["name"])
            for record in records
            for file in [*_as_list(record.get("files")), *_as_list(record.get("pieces"))]
        }

    def photograph(self, folder: Path, name: str) -> str | None:
        """Return the name of a file's photograph; None for a file that `data split` did not write."""
        with suppress(ValueError):
            parts = (folder / name).absolute().relative_to(self.out.absolute()).parts
            return self._photographs.get(f"{parts[0]}/{parts[-1]}")
        return None


def find_split_output(folder: Path) -> SplitOutput | None:
    """Return the output of `data split` that contains a folder (`layers/fg/train`, `layers`); None if there is none."""
    absolute = folder.absolute()
    for out in (absolute, *absolute.parents[:2]):
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            manifest = json.loads((out / SPLIT_MANIFEST).read_text(encoding="utf-8"))
            if manifest["made_by"]["work"] == "split":
                return SplitOutput(out, str(manifest.get("source", "")), manifest["records"])
    return None


def _as_list(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []


def is_leak(one: str, other: str) -> bool:
    """Whether a photograph in both splits is a leak: one for training, the other held out."""
    return TRAIN in (one, other) and one != other and {one, other} <= set(SPLITS)
