"""The splits that a source has already, which are kept when pictures are held out of training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mitlgan.data.sources.image_source import ImageSource
from mitlgan.data.sources.leftovers import UNASSIGNED, LeftoverFile
from mitlgan.data.splits import UNASSIGNED_REASON, split_source


@dataclass(frozen=True)
class KeptSplits:
    """The splits that a source has already, which are kept when pictures are held out.

    Attributes:
        split_of: Split of each picture by its name; empty if there are only pictures for training.
        unassigned: Names of the pictures next to the split folders, which are in no split and are left out.
        remark: Which pictures are left out, and what else a user may not expect, in one line; empty if there is nothing.
    """

    split_of: Mapping[str, str]
    unassigned: frozenset[str]
    remark: str

    def annotate(self, note: str) -> str:
        """Return a note on what is held out with the remark."""
        return "; ".join(filter(None, (note, self.remark)))

    def select(self, source: ImageSource) -> ImageSource:
        """Return the source without the pictures that are in no split."""
        left = [LeftoverFile(entry.name, UNASSIGNED_REASON, UNASSIGNED) for entry in source.entries if entry.name in self.unassigned]
        return source.subset((entry for entry in source.entries if entry.name not in self.unassigned), left) if left else source


def find_kept_splits(source: ImageSource, option: str = "SRC") -> KeptSplits:
    """Return the splits that a source has already.

    Args:
        source: A folder, an archive or a list.
        option: How error messages name it.

    Raises:
        DataError: Two folders mean one split, or there are held-out pictures alone.
    """
    sources, layout = split_source(source, option)
    layout.require_training(f"{option} {source.spec}")
    names = [entry.name for entry in source.entries]
    has_held_out = layout.folders and len(sources) > 1
    split_of = {entry.name: split for split, part in sources.items() for entry in part.entries} if has_held_out else {}
    return KeptSplits(split_of, frozenset(names[position] for position in layout.unassigned), layout.describe_omitted(names))
