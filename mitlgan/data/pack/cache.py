"""The cache folder of prepared data, and temporary files of packs."""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import IO

from mitlgan.errors import ResourceError
from mitlgan.runtime.file_locks import acquire_new_lock, remove_abandoned
from mitlgan.runtime.files import hidden_name, translate_disk_errors

try:
    import fcntl
except ImportError:  # Windows: abandoned temporary files are then left to the user
    fcntl = None  # type: ignore[assignment]

TEMPORARY_SUFFIX = ".part"
# Names of `open_temporary` for files of packs only: a folder of the user may hold other `.part` files.
_PACK_TEMPORARY = re.compile(rf"\..+\.(npy|json|sources)\.[0-9a-z]+{re.escape(TEMPORARY_SUFFIX)}", re.DOTALL)


def cache_dir() -> Path:
    """Return the folder of prepared data, created if absent.

    Returns:
        `$MITLGAN_CACHE`, else `$XDG_CACHE_HOME/mitlgan`, else `~/.cache/mitlgan`.

    Raises:
        ResourceError: The folder cannot be created, or the user has no home folder.
    """
    configured = os.environ.get("MITLGAN_CACHE")
    try:
        folder = Path(configured) if configured else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mitlgan"
    except RuntimeError:  # neither $HOME nor an entry in the list of users
        raise ResourceError("cache: this user has no home folder; set MITLGAN_CACHE to a writable folder") from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(f"{folder}: cannot create the cache ({error.strerror}); set MITLGAN_CACHE to a writable folder") from None
    return folder


def open_temporary(target: Path) -> tuple[Path, IO[bytes]]:
    """Open a temporary file next to `target`, to replace it when complete.

    The open file is locked for as long as its writer lives, so that `remove_abandoned_temporaries` can tell a dead writer's file from one that another
    process is writing now (process numbers do not work across containers that share the folder).

    Returns:
        Its path, and the file open for reading and writing. The name is hidden and ends in `.part`.

    Raises:
        ResourceError: The folder is gone, cannot be written, or has no locks.
    """
    while True:
        temporary = target.with_name(hidden_name(target.stem, f"{target.suffix}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}"))
        try:
            handle = temporary.open("x+b")
        except FileNotFoundError:
            with translate_disk_errors(target):  # its folder is gone
                raise
        except OSError as error:
            raise ResourceError(f"{target}: cannot write ({error.strerror}); choose a writable folder") from None
        if fcntl is None:
            return temporary, handle
        if acquire_new_lock(handle, temporary) and temporary.exists():  # else another process removed it between open and lock
            return temporary, handle
        handle.close()


def remove_abandoned_temporaries(folder: Path) -> None:
    """Delete the temporary files in `folder` whose writers are dead."""
    if fcntl is None:
        return
    for temporary in folder.glob(f".*{TEMPORARY_SUFFIX}"):
        if not _PACK_TEMPORARY.fullmatch(temporary.name) or not temporary.is_file():
            continue
        with suppress(OSError, ResourceError):
            remove_abandoned(temporary)


def flush_to_disk(handle: IO[bytes]) -> None:
    """Write a file to the disk, so that a later rename cannot precede its content after a power cut."""
    handle.flush()
    os.fsync(handle.fileno())
