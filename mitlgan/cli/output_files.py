"""Where commands write. Nothing is overwritten: a file that the user names must not exist, and a default name that exists gets a number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

MAX_NUMBERED = 100_000
PNG = ".png"


def new_file(named: Path | None, default: str, companions: Sequence[str] = (), option: str = "--out") -> Path:
    """Return the path of a file to write.

    Args:
        named: As the user named it; None takes the default name, with a number where that exists: `grid.png`, `grid-2.png`.
        default: Default name.
        companions: Endings of what is written next to it, after its name without suffix, such as `.json` and `-sheet.png`.
        option: Where the user names it.

    Raises:
        UsageError: What the user named exists, or something next to it that would be written, or the default is a PNG and the name says another format.
    """
    from mitlgan.runtime.files import require_suffix

    if named is not None:
        if Path(default).suffix == PNG:
            require_suffix(named, PNG, option)
        for path in (named, *(named.with_name(named.stem + ending) for ending in companions)):
            refuse_file(path, option)
        return named
    return _first_free(Path(default), lambda path: [path, *(path.with_name(path.stem + ending) for ending in companions)])


def new_folder(named: Path | None, default: str, companions: Sequence[str] = (), option: str = "--out") -> Path:
    """Return the path of a folder to write into, which is empty or does not exist; arguments and errors as of `new_file`.

    Companions are endings of names next to it, such as `-grid.png`.
    """
    from mitlgan.runtime.files import sibling_path
    from mitlgan.runtime.output_folders import find_visible_file

    if named is not None:
        if find_visible_file(named) is not None:
            refuse_file(named, option)
        for ending in ("", *companions):
            if ending or not named.is_dir():
                refuse_file(sibling_path(named, ending) if ending else named, option)
        return named
    return _first_free(Path(default), lambda path: [path, *(sibling_path(path, ending) for ending in companions)])


def refuse_file(path: Path | None, option: str) -> None:
    """Refuse a file to write that exists.

    Raises:
        UsageError: It exists; the message begins with the option.
    """
    from mitlgan.runtime.files import refuse_existing

    if path is not None:
        refuse_existing(path, option)


def refuse_picture(path: Path | None, option: str, out: Path | None = None) -> None:
    """Refuse a PNG to write that exists, whose name says another format, or that `--out` names as well.

    Raises:
        UsageError: The message begins with the option.
    """
    from mitlgan.errors import UsageError
    from mitlgan.runtime.files import require_suffix

    if path is None:
        return
    require_suffix(path, PNG, option)
    refuse_file(path, option)
    if out is not None and path.absolute() == out.absolute():
        raise UsageError(f"{option} {path}: is the file of --out, too; choose another name")


def refuse_pack(path: Path, option: str) -> None:
    """Refuse a pack to write that exists, or whose manifest would take the place of another file; one that a stopped call left may stay.

    Raises:
        UsageError: As of `refuse_file`.
    """
    from mitlgan.data.pack.manifest import read_manifest
    from mitlgan.errors import DataError

    refuse_file(path, option)
    manifest = path.with_suffix(".json")
    try:
        read_manifest(manifest)
    except DataError:
        refuse_file(manifest, option)


def _first_free(path: Path, written: Callable[[Path], list[Path]]) -> Path:
    """Return the first name under which nothing exists, and that no other command is about to write under."""
    import os

    from mitlgan.runtime.claimed_names import claim_name

    def is_free(candidate: Path) -> bool:
        return not any(map(os.path.lexists, written(candidate)))

    for number in range(1, MAX_NUMBERED):
        candidate = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        if is_free(candidate) and claim_name(candidate) and is_free(candidate):  # another command may have been about to write it
            return candidate
    raise AssertionError


def lines_of(*parts: object) -> str:
    """Return the parts of a command's text that are not None, one a line."""
    return "\n".join(str(part) for part in parts if part is not None)
