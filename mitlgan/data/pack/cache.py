"""Where prepared data is kept, and files that appear whole or not at all."""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import IO

from mitlgan.errors import ResourceError

try:
    import fcntl
except ImportError:  # Windows: abandoned temporary files are then left to the user
    fcntl = None  # type: ignore[assignment]

PART_SUFFIX = ".part"
# Only names that `open_part` gives to files of packs: a folder that a user chose may hold others' `.part` files.
_OWN_PART = re.compile(rf"\..+\.(npy|json|sources)\.[0-9a-z]+{re.escape(PART_SUFFIX)}", re.DOTALL)


def cache_dir() -> Path:
    """The folder of prepared data, created when absent.

    Returns:
        `$MITLGAN_CACHE`, else `$XDG_CACHE_HOME/mitlgan`, else `~/.cache/mitlgan`.

    Raises:
        ResourceError: It cannot be created.
    """
    own = os.environ.get("MITLGAN_CACHE")
    folder = Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mitlgan"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(f"{folder}: cannot create the cache ({error.strerror}); set MITLGAN_CACHE to a writable folder") from None
    return folder


def open_temporary(target: Path) -> tuple[Path, IO[bytes]]:
    """Open a temporary file beside `target`, to be moved onto it when complete.

    The open file carries a lock for as long as its writer lives, whatever kills it: that is how `remove_abandoned_parts` tells a dead writer's file
    from one that another process is writing now (a process number would not do across containers that share the folder).

    Returns:
        Its path, and the file open for reading and writing. The name is hidden and ends in `.part`: nothing takes it for the real file.

    Raises:
        ResourceError: The folder cannot be written.
    """
    while True:
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}{PART_SUFFIX}")
        try:
            handle = part.open("x+b")
        except OSError as error:
            raise ResourceError(f"{target}: cannot write ({error.strerror}); choose a writable folder") from None
        if fcntl is None:
            return part, handle
        fcntl.flock(handle, fcntl.LOCK_EX)
        if part.exists():  # else a cleaner came between open and lock
            return part, handle
        handle.close()


def remove_abandoned_temporaries(folder: Path) -> None:
    """Delete the temporary files in `folder` whose writers are dead."""
    if fcntl is None:
        return
    for part in folder.glob(f".*{PART_SUFFIX}"):
        if not _OWN_PART.fullmatch(part.name) or not part.is_file():
            continue
        with suppress(OSError), part.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink()


def flush_to_disk(handle: IO[bytes]) -> None:
    """Force what was written to the disk, so that a rename cannot be ahead of the content after a power cut."""
    handle.flush()
    os.fsync(handle.fileno())
