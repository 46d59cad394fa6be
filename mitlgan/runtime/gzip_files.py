"""Opens files that may be gzip: the content decides, since browsers unpack a download and keep its name."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import BinaryIO, cast

GZIP_MAGIC = b"\x1f\x8b"


def open_unzipped(path: Path) -> BinaryIO:
    """Open a file to be read, unpacked when it is gzip.

    Raises:
        OSError: The file cannot be opened.
    """
    with path.open("rb") as raw:
        is_gzip = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    return cast(BinaryIO, gzip.open(path, "rb") if is_gzip else path.open("rb"))
