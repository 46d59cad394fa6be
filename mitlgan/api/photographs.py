"""`mitlgan.split`: photographs into objects, backgrounds and scenes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mitlgan.api.context import StrPath
from mitlgan.data.layers.split import SplitSettings, split_pictures
from mitlgan.report.data_split_page import write_split_page
from mitlgan.runtime.arguments import takes_arguments
from mitlgan.runtime.progress import PlainReporter, ignore_message, ignore_progress, progress_logger


@dataclass(frozen=True)
class SplitResult:
    """Photographs cut into layers.

    Attributes:
        out: Folder of all.
        fg: Folder of the objects, RGBA.
        bg: Folder of the backgrounds.
        scene: Folder of the scenes, each with its matte.
        page: Contact sheet, on which wrong cuts can be chosen.
        counts: Number of photographs by what became of them: `used`, `set aside`, `duplicate`, `unreadable`, `excluded`.
        files: Number of pictures in `fg`, `bg` and `scene`.
        splits: Number of used photographs in `train` and `test`; empty if none are held out.
    """

    out: Path
    fg: Path
    bg: Path
    scene: Path
    page: Path
    counts: Mapping[str, int]
    files: Mapping[str, int]
    splits: Mapping[str, int]


@takes_arguments(options={"--size": "size_px", "SRC": "photographs"})
def split(
    photographs: StrPath,
    out: StrPath,
    *,
    size_px: int = 256,
    matting: str = "auto",
    background: str = "both",
    holdout: str | int = "10%",
    exclude: Iterable[str] = (),
    keep: Iterable[str] = (),
    allow_bad: bool = False,
    quiet: bool = False,
) -> SplitResult:
    """Cut photographs into objects, backgrounds and scenes: `mitlgan data split`. A stopped call goes on when it is called again.

    Args:
        photographs: Folder, archive, or list of paths.
        out: Folder for all that is cut.
        size_px: Larger photographs are reduced to this, 16 to 1024.
        matting: `auto`, `alpha`, `backdrop`, `grabcut`, or a U2-Net or IS-Net file.
        background: `fill` for the hole that the object leaves, `patch` for a crop next to it, or `both`.
        holdout: Photographs to hold out of training: a share such as `10%`, a number, or `0`.
        exclude: Names of photographs to leave out.
        keep: Names of photographs to use in spite of doubts.
        allow_bad: Continue if more than 5 % of the files cannot be read.
        quiet: Show no progress.

    Raises:
        DataError: There is no readable or no usable picture.
        UsageError: A method does not exist, a number is out of range, the extra `data` is not installed, or the folder holds other work.
        ResourceError: The folder cannot be written.

    Example:
        >>> import mitlgan
        >>> layers = mitlgan.split("photographs", "layers", size_px=64, quiet=True)
        >>> layers.fg, layers.counts["used"] == layers.files["fg"]
        (PosixPath('layers/fg'), True)
    """
    out = Path(out)
    settings = SplitSettings(
        matting=matting, size_px=size_px, background=background, holdout=str(holdout), exclude=tuple(exclude), keep=tuple(keep), allow_bad=allow_bad
    )  # fmt: skip
    say = ignore_message if quiet else PlainReporter("split").say
    progress = ignore_progress if quiet else progress_logger("split", say)
    manifest = split_pictures(photographs, out, settings, progress, say)
    page = write_split_page(out, manifest)
    return SplitResult(out, out / "fg", out / "bg", out / "scene", page, manifest["counts"], manifest["files"], manifest["splits"])
