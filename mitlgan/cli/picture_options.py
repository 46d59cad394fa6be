"""Options of all commands that write pictures: their size, the filter, and what their files say of how they were made."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mitlgan.images.resize import PictureSize


class Filter(StrEnum):
    """Filters that resize pictures."""

    nearest = "nearest"
    bilinear = "bilinear"
    bicubic = "bicubic"
    lanczos = "lanczos"


Scale = Annotated[int | None, typer.Option("--scale", metavar="N", help="Whole factor to enlarge pictures by.", min=1, max=64)]
Size = Annotated[int | None, typer.Option("--size", metavar="PX", help="Longer side of pictures, in place of --scale.", min=1)]
FilterName = Annotated[Filter | None, typer.Option("--filter", help="How pictures are resized. Default: nearest by --scale, bicubic by --size.")]
NoMetadata = Annotated[bool, typer.Option("--no-metadata", help="Leave out of the files how their pictures were made.")]


def picture_size(
    scale: int | None,
    size: int | None,
    filter_name: Filter | None,
    width: int,
    height: int | None = None,
    *,
    like: Path | None = None,
    has_sheet: bool = True,
) -> PictureSize:
    """Return the size that options ask for, checked for pictures of `width` x `height` px.

    Args:
        scale: Of --scale.
        size: Of --size.
        filter_name: Of --filter.
        width: Own width, px.
        height: Own height, px. None: as the width.
        like: A picture whose recorded size is the default.
        has_sheet: Whether a sheet is written, which enlarges small pictures also without a size.

    Raises:
        UsageError: They exclude each other, or the result would be too large, or a filter has nothing to resize.
    """
    from mitlgan.errors import UsageError
    from mitlgan.images.resize import PictureSize

    if like is not None and (scale, size) == (None, None):
        from mitlgan.artifacts.picture_record import read_record

        recorded = read_record(like, "--like").size
        scale, size = recorded.scale, recorded.size_px
        filter_name = Filter(recorded.filter) if filter_name is None and recorded.filter is not None else filter_name
    if filter_name is not None and (scale, size) == (None, None) and not has_sheet:
        raise UsageError("--filter: pictures keep their size; give --scale or --size, too, or leave it out")
    requested = PictureSize(scale, size, None if filter_name is None else filter_name.value)
    try:
        requested.target(width, height or width)
    except UsageError as error:
        raise UsageError(f"--{error}") from None
    return requested
