"""The demo's upper anchor: real foregrounds on real backgrounds of the generators' own pools.

No composition of two generators trained on these pools can be expected to come closer to the scenes, whose objects and backgrounds are different ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mitlgan.data.demo import RECIPE_VERSION, archive, open_or_make, write_scenes
from mitlgan.data.demo.scenes import SceneCompositor
from mitlgan.data.pack.image_pack import ImagePack

_SPLIT = "test"  # decides the random numbers only; the pools have nothing in common with the scenes' own


def composite_anchor_pack(size_px: int, *, count: int = 2000, resize: str = "lanczos") -> ImagePack:
    """Return pictures of `fg` on pictures of `bg`, with mattes, with the scales, shifts and flips of the scenes.

    Args:
        size_px: Height and width of the pictures.
        count: Number of pictures; a longer pack begins with the shorter one.
        resize: Name of the filter that makes `size_px` of the archive's 64 px, beyond them of its 128.
    """
    made_by = {
        "command": "demo",
        "version": RECIPE_VERSION,
        "archive_sha256": archive.archive_sha256(archive.archive_px(size_px)),
        "role": "pasted",
        "count": count,
        "size_px": size_px,
        "resize": resize,
    }
    return open_or_make("demo-pasted", made_by, _make)


def _make(path: Path, made_by: dict[str, Any]) -> ImagePack:
    px = archive.archive_px(made_by["size_px"])
    # A scene's object fills its own frame, while foregrounds have a margin.
    objects = [picture.crop(picture.getchannel("A").getbbox()) for _, _, picture in archive.read_pool(archive.FOREGROUNDS, px=px)]
    compositor = SceneCompositor(_SPLIT, objects, [picture for _, _, picture in archive.read_pool(archive.BACKGROUNDS, px=px)])
    return write_scenes(path, made_by, compositor, lambda index, _: f"pasted-{index}", (archive.FOREGROUNDS, archive.BACKGROUNDS))
