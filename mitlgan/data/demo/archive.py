"""Reads the demo pictures that ship in the package: a zip of WebP pictures at 64 px, and one of the same pictures at 128 px.

Sets of up to 64 px are made from the first, larger ones from the second. Each has the same four pools, each a shuffled folder:

- `fg/`: objects with alpha, for foreground generators;
- `bg/`: views of panoramas, for background generators;
- `object/` and `scene_bg/`: other objects and other panoramas, from which scenes are composited. No object of `object/` is in `fg/` in any skin tone,
  and no panorama of `scene_bg/` is in `bg/`, so a composition cannot win by memorising its generators' pictures.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from functools import lru_cache
from pathlib import Path

from PIL import Image

from mitlgan.errors import DataError

ARCHIVE_PX, LARGE_ARCHIVE_PX = 64, 128
FOLDER = Path(__file__).parent
ARCHIVES = {px: FOLDER / f"demo-{px}.zip" for px in (ARCHIVE_PX, LARGE_ARCHIVE_PX)}
"""The archive of each size of pictures: their height and width, of objects in scenes the longest side."""
FOREGROUNDS, BACKGROUNDS, OBJECTS, SCENE_BACKGROUNDS = "fg", "bg", "object", "scene_bg"
LICENCES = {
    FOREGROUNDS: "MIT (Microsoft Fluent Emoji)",
    BACKGROUNDS: "CC0-1.0 (views of HDR panoramas)",
    OBJECTS: "MIT (Microsoft Fluent Emoji)",
    SCENE_BACKGROUNDS: "CC0-1.0 (views of HDR panoramas)",
}
SKIN_TONES = re.compile(r"-?\b1f3f[b-f]\b|-?\bfe0f\b")


def family(code_points: str) -> str:
    """Return an object's name without skin tone and variation selector, equal for all variants.

    >>> family("1f468-1f3fc-200d-1f9b1"), family("2712-fe0f")
    ('1f468-200d-1f9b1', '2712')
    """
    return SKIN_TONES.sub("", code_points)


def archive_px(size_px: int) -> int:
    """Return the size of the pictures from which a set of a size is made: the smallest that need not be enlarged, else the largest.

    >>> archive_px(32), archive_px(64), archive_px(96), archive_px(256)
    (64, 64, 128, 128)
    """
    return next((px for px in ARCHIVES if px >= size_px), LARGE_ARCHIVE_PX)


@lru_cache(maxsize=len(ARCHIVES))
def archive_sha256(px: int = ARCHIVE_PX) -> str:
    """Return the hash of an archive, part of the key of everything made from it.

    Raises:
        DataError: The archive is missing in the installation.
    """
    try:
        return hashlib.sha256(ARCHIVES[px].read_bytes()).hexdigest()
    except OSError:
        raise DataError(f"{ARCHIVES[px]}: the demo pictures are missing; install mitlgan again") from None


def list_pool(pool: str, px: int = ARCHIVE_PX) -> list[str]:
    """Return the entries of a pool, in the archive's order, which is the same in all."""
    archive_sha256(px)
    with zipfile.ZipFile(ARCHIVES[px]) as archive:
        return [name for name in archive.namelist() if name.startswith(f"{pool}/")]


def read_pool(pool: str, count: int | None = None, px: int = ARCHIVE_PX) -> list[tuple[str, bytes, Image.Image]]:
    """Decode a pool, or its first `count` pictures.

    Returns:
        Name, file content, and picture of each: RGBA for objects (not premultiplied), RGB for backgrounds.
    """
    pictures = []
    with zipfile.ZipFile(ARCHIVES[px]) as archive:
        for name in list_pool(pool, px)[:count]:
            content = archive.read(name)
            picture = Image.open(io.BytesIO(content))
            pictures.append((name, content, picture.convert("RGBA" if pool in (FOREGROUNDS, OBJECTS) else "RGB")))
    return pictures
