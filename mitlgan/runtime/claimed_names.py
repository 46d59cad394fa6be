"""Names that commands are going to write under: those that exist, or that other commands have claimed, are refused or passed over."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

from mitlgan.errors import ResourceError, UsageError
from mitlgan.runtime.signals import HeldSignals

CLAIM_SUFFIX = ".claim"
MAX_ATTEMPTS = 100
"""How often a claim's folder is made again if other commands remove it."""


class _Claim(NamedTuple):
    """The hidden file next to a claimed name that says so, which this process holds locked, and the folders that were made for it."""

    hidden: Path
    file: IO[bytes]
    folders: list[Path]


class UnreadableClaimError(ResourceError):
    """A file says that another user's command has claimed a name, and this user may not look whether that command still runs."""


_CLAIMS: dict[Path, _Claim] = {}


def claim_name(path: Path) -> bool:
    """Claim a name for this process, until `release_names` or its end, however it ends.

    Missing folders are made, and go at the release if they are empty. In a folder that cannot be written, a folder that exists is not claimed.

    Returns:
        Whether no other process has claimed the name.

    Raises:
        UnreadableClaimError: Another user's claim cannot be read.
        ResourceError: The folder of the name cannot be written, or has no locks.
    """
    place, hidden = _hidden_file(path)
    with HeldSignals():  # what is made is noted, so that it goes
        return place in _CLAIMS or _add_claim(path, place, hidden)


def _add_claim(path: Path, place: Path, hidden: Path) -> bool:
    from mitlgan.runtime.file_locks import is_at  # the entry point starts without
    from mitlgan.runtime.files import translate_disk_errors

    folders = list[Path]()
    try:
        while place not in _CLAIMS:
            with translate_disk_errors(path):
                file = _open_in_folder(hidden, path, folders)
            if file is None:
                return False
            if is_at(file, hidden):
                _CLAIMS[place] = _Claim(hidden, file, folders)
            else:  # another process has just released the name
                file.close()
        return True
    except ResourceError as error:
        if isinstance(error, UnreadableClaimError) or not place.is_dir():
            raise
        return True
    finally:
        if place not in _CLAIMS:
            _remove_empty(folders)


def _open_in_folder(hidden: Path, path: Path, folders: list[Path]) -> IO[bytes] | None:
    """Make the folder of a claim where it is missing, add what was made to the list, and open the claim; see `_open_locked`.

    Another command that ends may remove the folder in between, as it is empty.
    """
    from mitlgan.runtime.unfinished_outputs import make_folders

    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            folders += make_folders(hidden.parent)
            return _open_locked(hidden, path)
        except FileNotFoundError:
            if attempt == MAX_ATTEMPTS:
                raise
    raise AssertionError


def _open_locked(hidden: Path, path: Path) -> IO[bytes] | None:
    """Open and lock the hidden file of a name's claim; None if another process holds it.

    That of another user, which only its owner may change, says by its lock alone whether its command still runs; if not, the name may be used.
    """
    from mitlgan.runtime.file_locks import acquire_exclusive_lock, acquire_new_lock
    from mitlgan.runtime.files import ensure_folder, open_regular

    try:
        file = open_regular(hidden, "ab", root=hidden.parent)
        is_ours = acquire_new_lock(file, hidden)
    except PermissionError:
        if not os.path.lexists(hidden):  # the folder cannot be written
            raise
        ensure_folder(hidden.parent)
        try:
            file = open_regular(hidden, root=hidden.parent)
            is_ours = acquire_exclusive_lock(file, hidden.parent)
        except (PermissionError, ResourceError):
            reason = f"another user's command may be about to write it: {hidden.name} says so, and cannot be read or locked"
            raise UnreadableClaimError(f"{path}: {reason}; choose another name, or remove that file") from None
    if is_ours:
        return file
    file.close()
    return None


def release_names() -> None:
    """Release all names that this process has claimed; interrupts come after that."""
    with HeldSignals():
        for place in reversed(list(_CLAIMS)):  # folders go with the first name in them
            _release(place)


def remove_abandoned_claim(path: Path) -> None:
    """Remove the hidden file by which a killed process had claimed a name, if there is one."""
    place, hidden = _hidden_file(path)
    if place not in _CLAIMS and hidden.exists():
        with suppress(ResourceError), HeldSignals():  # whoever writes there meets it
            if claim_name(path) and place in _CLAIMS:  # not in a folder that cannot be written
                _release(place)


def _hidden_file(path: Path) -> tuple[Path, Path]:
    """Return a name's absolute path, the same by whatever links it is reached, and the hidden file of its claim."""
    from mitlgan.runtime.files import hidden_name

    place = path.resolve()
    return place, place.with_name(hidden_name(place.name, CLAIM_SUFFIX))


def _release(place: Path) -> None:
    from mitlgan.runtime.file_locks import is_at

    claim = _CLAIMS[place]
    with claim.file, suppress(OSError):  # its folder may be gone, or another user's
        if is_at(claim.file, claim.hidden):  # else it is another process's, in a folder that was made again
            claim.hidden.unlink()
    _remove_empty(claim.folders)
    del _CLAIMS[place]  # last: what stops before it is done again


def _remove_empty(folders: Sequence[Path]) -> None:
    with suppress(OSError):  # as soon as one holds something
        for folder in sorted(set(folders), reverse=True):  # the innermost first
            folder.rmdir()


def refuse_existing(path: Path, option: str) -> None:
    """Refuse a target that exists, even as a link to nothing, or whose name no disk takes.

    Raises:
        UsageError: It exists, or its name is too long; the message begins with the option.
    """
    from mitlgan.runtime.files import MAX_NAME_BYTES

    if len(os.fsencode(path.name)) > MAX_NAME_BYTES:
        raise UsageError(f"{option} {path}: the name is too long for the disk; give a shorter one")
    if os.path.lexists(path):
        raise UsageError(f"{option} {path}: exists already; choose another name, or remove it")


def require_suffix(path: Path, suffix: str, option: str) -> None:
    """Refuse a target whose name says another format than it will have, by which other programs would open it.

    Raises:
        UsageError: Its suffix is another one; the message begins with the option.
    """
    if path.suffix.lower() != suffix:
        raise UsageError(f"{option} {path}: is written as {suffix[1:].upper()}; let its name end in {suffix}")
