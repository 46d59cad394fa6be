"""Which pictures a training was shown, where they changed while it was interrupted: several sets, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mitlgan.errors import ArtifactError

HEADER_KEY, CARD_KEY = "data_sets", "sets"
"""Names of the list in a checkpoint's header, and in the `data` of a card; absent where the pictures never changed."""


class PictureSet(BaseModel):
    """Pictures that a training was shown from some point on, until the next set.

    Attributes:
        content_sha256: Hash of their pixels, at the size that they were trained at.
        count: How many.
        from_iteration: Generator updates before the first with them.
        from_kimg: Thousand real images shown before them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    content_sha256: str
    count: Annotated[int, Field(ge=0)]
    from_iteration: Annotated[int, Field(ge=0)] = 0
    from_kimg: Annotated[float, Field(ge=0)] = 0.0


def sets_of_header(header: Mapping[str, Any]) -> tuple[PictureSet, ...]:
    """Return the sets that the state of a checkpoint was trained on, the first one first; at least one.

    Raises:
        ArtifactError: The header says something else.
    """
    only = {"content_sha256": header.get("data_sha256"), "count": header.get("data_count")}
    return used_sets(_parse("checkpoint", header.get(HEADER_KEY) or [only]), int(header["counters"]["iteration"]))


def sets_of_card(data: Mapping[str, Any]) -> tuple[PictureSet, ...]:
    """Return the sets that an artifact was trained on, by the `data` of its card; none if that does not say.

    Raises:
        ArtifactError: The card says something else.
    """
    return _parse("card", data.get(CARD_KEY) or ([data] if "content_sha256" in data and "count" in data else []))


def _parse(source: str, values: Any) -> tuple[PictureSet, ...]:
    try:
        return tuple(PictureSet.model_validate(value) for value in values)
    except (ValidationError, TypeError):
        raise ArtifactError(f"{source}: its pictures are not hashes with counts; the file was edited; start the run again") from None


def used_sets(sets: Sequence[PictureSet], iteration: int) -> tuple[PictureSet, ...]:
    """Return the sets without those that a training of so many iterations never came to; the first always stays."""
    return tuple(entry for index, entry in enumerate(sets) if index == 0 or entry.from_iteration < iteration)


def followed_by(sets: Sequence[PictureSet], later: PictureSet) -> tuple[PictureSet, ...]:
    """Return the sets of a training that goes on with pictures, which are the last ones unless they changed."""
    before = used_sets(sets, later.from_iteration)
    if not later.from_iteration:
        return (later,)
    return before if before[-1].content_sha256 == later.content_sha256 else (*before, later)


def sets_record(key: str, sets: Sequence[PictureSet]) -> dict[str, Any]:
    """Return the entry for a header or a card; empty if the pictures never changed, so that such files are as those of earlier versions."""
    return {key: [entry.model_dump() for entry in sets]} if len(sets) > 1 else {}


def describe_sets(sets: Sequence[PictureSet]) -> str:
    """Return in words which pictures were used and to which length; empty if they never changed."""
    if len(sets) < 2:
        return ""
    first = f"trained on {sets[0].count:,} pictures to {sets[1].from_kimg:g} kimg"
    ends = [f" to {entry.from_kimg:g} kimg" for entry in sets[2:]] + [""]
    return first + "".join(f", then on {entry.count:,}{end}" for entry, end in zip(sets[1:], ends, strict=True))


def describe_change(sets: Sequence[PictureSet], now: PictureSet) -> str:
    """Return in words how the pictures changed since a training began; empty if they are those of all its iterations."""
    if {entry.content_sha256 for entry in sets} <= {now.content_sha256}:
        return ""
    first, *others = sets
    between = "".join(f", {_name(entry)} from {entry.from_kimg:g} kimg" for entry in others)
    return f"the pictures changed since this run began: {_name(first)} then{between}, {_name(now)} now"


def _name(entry: PictureSet) -> str:
    return f"{entry.count} ({entry.content_sha256[:12]})"
