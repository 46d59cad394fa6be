"""The demo data: packs made from the pictures that ship in the package, cached, with the same bytes everywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mitlgan.data.build.resize import RESIZE_FILTERS, crop_and_resize, to_planes
from mitlgan.data.demo import archive
from mitlgan.data.demo.scenes import SCENE_COUNTS, SceneCompositor
from mitlgan.data.pack.cache import cache_dir
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.pack.writer import PackWriter
from mitlgan.errors import UsageError

RECIPE_VERSION = 1  # raise it when the same arguments make other pixels
POOLS = {
    ("fg", "train"): archive.FOREGROUNDS,
    ("bg", "train"): archive.BACKGROUNDS,
    ("bg", "validation"): archive.SCENE_BACKGROUNDS,
}
"""The pool of each role and split other than scenes. Held-out backgrounds are those of the scenes, from panoramas that training does not use."""
LAYER_SPLITS = {role: [split for of, split in POOLS if of == role] for role, _ in POOLS}
MIN_PX, MAX_PX = 4, 1024


def demo_pack(role: str, size_px: int, *, split: str = "train", count: int | None = None, resize: str = "lanczos") -> ImagePack:
    """Return a pack of demo pictures, made once and then taken from the cache.

    Args:
        role: "fg": objects with premultiplied alpha; "bg": backgrounds; "scene": objects on backgrounds with the matte, no object or panorama of which
            is in the other two.
        size_px: Height and width; above 128 the pictures are enlarged, and the manifest says so.
        split: "train", "validation" or "test" for scenes (no pair of object and background is in two of them). Foregrounds have "train" alone,
            backgrounds "train" and "validation", which are those of the scenes.
        count: Number of pictures, the first ones; by default all (fg, bg), or 3000, 2000, 5000 (scenes).
        resize: Name of the filter that makes `size_px` of the archive's 64 px, beyond them of its 128.

    Raises:
        UsageError: There is no such role, split, size, count or filter.
    """
    _check(role, size_px, split, resize)
    available = SCENE_COUNTS[split] if role == "scene" else len(archive.list_pool(POOLS[role, split]))
    count, px = available if count is None else count, archive.archive_px(size_px)
    if count < 1 or (role != "scene" and count > available):
        raise UsageError(f"count: {count} demo pictures asked; {role} has 1 to {available}")
    made_by = {
        "command": "demo",
        "version": RECIPE_VERSION,
        "archive_sha256": archive.archive_sha256(px),
        "role": role,
        "split": split,
        "count": count,
        "size_px": size_px,
        "resize": resize,
        "note": f"enlarged from {px} px" if size_px > px else "",
    }
    return open_or_make(f"demo-{role}-{split}", made_by, _make_scenes if role == "scene" else _make_layer)


def _check(role: str, size_px: int, split: str, resize: str) -> None:
    if role not in (*LAYER_SPLITS, "scene"):
        raise UsageError(f"role: {role!r} has no demo pictures; choose fg, bg or scene")
    if split not in SCENE_COUNTS:
        raise UsageError(f"split: {split!r} does not exist; choose {', '.join(SCENE_COUNTS)}")
    if role in LAYER_SPLITS and split not in LAYER_SPLITS[role]:
        raise UsageError(f"split: the demo's {role} pictures are all for {' or '.join(LAYER_SPLITS[role])}; choose that, or role scene for {split}")
    if not MIN_PX <= size_px <= MAX_PX:
        raise UsageError(f"size_px: {size_px} is out of range; choose {MIN_PX} to {MAX_PX}")
    if resize not in RESIZE_FILTERS:
        raise UsageError(f"resize: {resize!r} is no filter; choose {', '.join(RESIZE_FILTERS)}")


def open_or_make(prefix: str, made_by: dict[str, Any], make: Callable[[Path, dict[str, Any]], ImagePack]) -> ImagePack:
    """Return a pack of the cache; if it is absent, make it.

    Args:
        prefix: Begins the name of the pack.
        made_by: All that decides the pack's content, among it `size_px` and `count`.
        make: Writes the pack to a path.
    """
    key = hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:12]
    path = cache_dir() / f"{prefix}-{made_by['size_px']}px-{made_by['count']}-{key}.npy"
    return ImagePack.open_cached(path, made_by) or make(path, made_by)


def _make_layer(path: Path, made_by: dict[str, Any]) -> ImagePack:
    role, pool = made_by["role"], POOLS[made_by["role"], made_by["split"]]
    with PackWriter(path, made_by["size_px"], "alpha" if role == "fg" else None) as writer:
        for name, content, picture in archive.read_pool(pool, made_by["count"], archive.archive_px(made_by["size_px"])):
            source = {"name": name, "sha256": hashlib.sha256(content).hexdigest(), "width": picture.width, "height": picture.height}
            writer.append(to_planes(crop_and_resize(picture, made_by["size_px"], made_by["resize"])), source)
        return writer.publish(resize=made_by["resize"], crop="none", licence=archive.LICENCES[pool], made_by=made_by, skipped=[])


def _make_scenes(path: Path, made_by: dict[str, Any]) -> ImagePack:
    px = archive.archive_px(made_by["size_px"])
    objects, backgrounds = archive.read_pool(archive.OBJECTS, px=px), archive.read_pool(archive.SCENE_BACKGROUNDS, px=px)
    compositor = SceneCompositor(made_by["split"], [picture for _, _, picture in objects], [picture for _, _, picture in backgrounds])

    def name(index: int, record: dict[str, Any]) -> str:
        return f"{objects[record['object']][0]} on {backgrounds[record['place']][0]}"

    return write_scenes(path, made_by, compositor, name, (archive.OBJECTS, archive.SCENE_BACKGROUNDS))


def write_scenes(
    path: Path, made_by: dict[str, Any], compositor: SceneCompositor, name: Callable[[int, dict[str, Any]], str], pools: tuple[str, str]
) -> ImagePack:
    """Write a pack of composited scenes.

    Args:
        path: The pack.
        made_by: Its record in the manifest, with `count`, `size_px` and `resize`.
        compositor: Makes the scenes.
        name: Returns the name of a scene, from its index and its record.
        pools: Pools of its objects and backgrounds.
    """
    px = archive.archive_px(made_by["size_px"])
    with PackWriter(path, made_by["size_px"], "matte") as writer:
        for index in range(made_by["count"]):
            pixels, record = compositor.make(index, made_by["size_px"], made_by["resize"])
            source = {
                "name": name(index, record),
                "sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),  # of the pixels, since there is no file of the scene
                "width": px,
                "height": px,
            }
            writer.append(pixels, source | record)
        licence = "; ".join(archive.LICENCES[pool] for pool in pools)
        return writer.publish(resize=made_by["resize"], crop="none", licence=licence, made_by=made_by, skipped=[])
