"""Names that commands are going to write under: one that looks for a free name passes over those that others have claimed."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import IO

CLAIM_SUFFIX = ".claim"
_CLAIMS: dict[Path, tuple[Path, IO[bytes]]] = {}
"""Claimed name -> the hidden file next to it that says so, which this process holds locked."""


def claim_name(path: Path) -> bool:
    """Claim a name for this process, until `release_names` or its end, however it ends.

    Returns:
        Whether it has the name: no other process does.

    Raises:
        ResourceError: The folder of the name cannot be written.
    """
    from mitlgan.runtime.files import acquire_exclusive_lock, hidden_name, open_regular, translate_disk_errors  # the entry point starts without

    place = path.absolute()
    hidden = place.with_name(hidden_name(place.name, CLAIM_SUFFIX))
    while place not in _CLAIMS:
        with translate_disk_errors(path):
            file = open_regular(hidden, "ab", root=hidden.parent)
        if not acquire_exclusive_lock(file):
            file.close()
            return False
        with suppress(FileNotFoundError):
            if hidden.lstat().st_ino == os.fstat(file.fileno()).st_ino:  # else another process has just released the name
                _CLAIMS[place] = hidden, file
                continue
        file.close()
    return True


def release_names() -> None:
    """Release all names that this process has claimed."""
    while _CLAIMS:
        _, (hidden, file) = _CLAIMS.popitem()
        with file, suppress(OSError):  # its folder may be gone
            hidden.unlink()
