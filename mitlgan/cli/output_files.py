"""Where commands write. Nothing is overwritten: what the user names must be new and no other command's; a default name that exists gets a number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

MAX_NUMBERED = 100_000
PNG = ".png"


def new_file(named: Path | None, default: str, companions: Sequence[str] = (), option: str = "--out") -> Path:
    """Return the path of a file to write, which this command claims until its end.

    Args:
        named: As the user named it; None takes the default name, with a number where that exists: `grid.png`, `grid-2.png`.
        default: Default name.
        companions: Endings of what is written next to it, after its name without suffix, such as `.json` and `-sheet.png`.
        option: Where the user names it.

    Raises:
        UsageError: What the user named exists, or something next to it that would be written, or the default is a PNG and the name says another format.
        ResourceError: Another command that runs now has claimed such a name, or its folder cannot be written.
    """
    from mitlgan.runtime.claimed_names import require_suffix

    if named is not None:
        if Path(default).suffix == PNG:
            require_suffix(named, PNG, option)
        for path in (named, *(named.with_name(named.stem + ending) for ending in companions)):
            claim_file(path, option)
        return named
    return _first_free(Path(default), lambda path: [path, *(path.with_name(path.stem + ending) for ending in companions)])


def new_folder(named: Path | None, default: str, companions: Sequence[str] = (), option: str = "--out") -> Path:
    """Return the path of a folder to write into, which is empty or does not exist; arguments and errors as of `new_file`.

    Companions are endings of names next to it, such as `-grid.png`.
    """
    from mitlgan.runtime.files import sibling_path
    from mitlgan.runtime.output_folders import find_visible_file

    def refuse(path: Path) -> None:
        if path != named or not path.is_dir() or find_visible_file(path) is not None:
            refuse_file(path, option)

    if named is not None:
        for path in (named, *(sibling_path(named, ending) for ending in companions)):
            refuse(path)
            _claim(path, option)
            refuse(path)
        return named
    return _first_free(Path(default), lambda path: [path, *(sibling_path(path, ending) for ending in companions)])


def refuse_file(path: Path | None, option: str) -> None:
    """Refuse a file to write that exists; see `claim_file`, too.

    Raises:
        UsageError: It exists; the message begins with the option.
    """
    from mitlgan.runtime.claimed_names import refuse_existing

    if path is not None:
        refuse_existing(path, option)


def claim_file(path: Path | None, option: str) -> None:
    """Claim a file to write for this command; refuse one that exists, or that another running command is going to write.

    Raises:
        UsageError: It exists; the message begins with the option.
        ResourceError: Another command has claimed it, or its folder cannot be written.
    """
    if path is not None:
        refuse_file(path, option)
        _claim(path, option)
        refuse_file(path, option)  # another command may have been about to write it


def claim_picture(path: Path | None, option: str, *outs: Path) -> None:
    """Claim a PNG to write; refuse one that exists, whose name says another format, or that is a file of `--out` as well, by whatever links.

    Args:
        path: As the user named it; None claims nothing.
        option: Where the user names it.
        outs: Files that the command writes at `--out`.

    Raises:
        UsageError: The message begins with the option.
        ResourceError: As of `claim_file`.
    """
    from mitlgan.errors import UsageError
    from mitlgan.runtime.claimed_names import require_suffix

    if path is None:
        return
    require_suffix(path, PNG, option)
    place, others = path.resolve(), [out.resolve() for out in outs]
    if place in others:
        raise UsageError(f"{option} {path}: is the file of --out, too; choose another name")
    for out, other in zip(outs, others, strict=True):
        if place in other.parents or other in place.parents:
            raise UsageError(f"{option} {path}: it and {out} of --out are files, and one would be in the other; choose another name")
    claim_file(path, option)


def claim_pack(path: Path, option: str) -> None:
    """Claim a pack to write; refuse one that exists, or whose manifest would take the place of another file; one that a stopped call left may stay.

    Raises:
        UsageError: As of `claim_file`.
        ResourceError: As of `claim_file`.
    """
    from mitlgan.data.pack.manifest import is_manifest

    claim_file(path, option)
    manifest = path.with_suffix(".json")
    if not is_manifest(manifest):
        refuse_file(manifest, option)


def _first_free(path: Path, written: Callable[[Path], list[Path]]) -> Path:
    """Return the first name under which nothing exists, and that no other command is about to write under."""
    import os

    from mitlgan.runtime.claimed_names import UnreadableClaimError, claim_name, remove_abandoned_claim

    def is_free(candidate: Path) -> bool:
        return not any(map(os.path.lexists, written(candidate)))

    def is_claimed_here(candidate: Path) -> bool:
        with suppress(UnreadableClaimError):
            return claim_name(candidate)
        return False

    for number in range(1, MAX_NUMBERED):
        candidate = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        if is_free(candidate) and is_claimed_here(candidate) and is_free(candidate):  # another command may have been about to write it
            return candidate
        remove_abandoned_claim(candidate)
    raise AssertionError


def _claim(path: Path, option: str) -> None:
    """Claim a name that the user gave; the first process of several that torchrun started does so for all."""
    from mitlgan.cli.torchrun import is_leading_process
    from mitlgan.errors import ResourceError
    from mitlgan.runtime.claimed_names import claim_name

    if is_leading_process() and not claim_name(path):
        raise ResourceError(f"{option} {path}: another command that runs now is going to write it; choose another name")


def lines_of(*parts: object) -> str:
    """Return the parts of a command's text that are not None, one a line."""
    return "\n".join(str(part) for part in parts if part is not None)
