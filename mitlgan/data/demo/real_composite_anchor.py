"""The demo's upper anchor: real foregrounds pasted on real backgrounds, both from the generators' own pools, placed as the scenes are.

No composition of two generators trained on these pools can be expected to come nearer to the scenes, whose objects and places are others.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from mitlgan.data.demo import RECIPE_VERSION, archive, write_scenes
from mitlgan.data.demo.scenes import SceneCompositor
from mitlgan.data.pack.cache import cache_dir
from mitlgan.data.pack.image_pack import ImagePack

_SPLIT = "test"  # of the law by which scenes are drawn; the pools are disjoint from the scenes' in any case


def composite_anchor_pack(size_px: int, *, count: int = 2000, resize: str = "lanczos") -> ImagePack:
    """Pictures of `fg` on pictures of `bg`, with mattes, by the scenes' law of scale, shift and flip.

    Args:
        size_px: Height and width of the pictures.
        count: How many; a longer pack begins with the shorter one.
        resize: Name of the filter that makes `size_px` of the archive's 64 px.
    """
    made_by = {
        "command": "demo",
        "version": RECIPE_VERSION,
        "archive_sha256": archive.archive_sha256(),
        "role": "pasted",
        "count": count,
        "size_px": size_px,
        "resize": resize,
    }
    key = hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:12]
    path = cache_dir() / f"demo-pasted-{size_px}px-{count}-{key}.npy"
    return ImagePack.open_cached(path, made_by) or _make(path, made_by)


def _make(path: Path, made_by: dict[str, Any]) -> ImagePack:
    # A scene's object fills its own frame; the foregrounds stand in a square with a margin.
    objects = [picture.crop(picture.getchannel("A").getbbox()) for _, _, picture in archive.read_pool(archive.FOREGROUNDS)]
    maker = SceneCompositor(_SPLIT, objects, [picture for _, _, picture in archive.read_pool(archive.BACKGROUNDS)])
    licence = f"{archive.LICENCES[archive.FOREGROUNDS]}; {archive.LICENCES[archive.BACKGROUNDS]}"
    return write_scenes(path, made_by, maker, lambda index, _: f"pasted-{index}", licence)
