"""The pictures of the time to quality: the demo's as files, or a folder of one's own; packed for the product, and held out for measuring."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from mitlgan.data.build.pack_folder import pack_folder
from mitlgan.data.demo.archive import ARCHIVE_PX, BACKGROUNDS, FOREGROUNDS, OBJECTS, SCENE_BACKGROUNDS, family, read_pool
from mitlgan.data.demo.scenes import SceneCompositor
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.errors import DataError
from mitlgan.runtime.files import ensure_folder

TRAIN, HELD_OUT = "train", ("validation", "test")
MAX_PICTURES = 3000
MAX_HELD_OUT = 1000
HOLDOUT_EVERY = 4
"""Of the demo's objects, each fourth family (a figure in all skin tones) is held out."""


@dataclass(frozen=True)
class TaskPictures:
    """Pictures of one kind and size.

    Attributes:
        folder: Folder with a folder `train` of files, for the textbook loop.
        train: The same, packed, for the product.
        held_out: Others, packed, to measure against.
        reading_s: CPU seconds that packing the training pictures took.
    """

    folder: Path
    train: ImagePack
    held_out: ImagePack
    reading_s: float


def open_pictures(folder: Path, role: str, size_px: int, packs: Path) -> TaskPictures:
    """Pack the pictures of one kind.

    Args:
        folder: Holds the folders `train`, and `validation` or `test`.
        role: `fg`, `bg` or `scene`.
        size_px: Height and width.
        packs: Folder for the packs.

    Raises:
        DataError: A folder is missing, or holds no pictures.
    """
    held_out = next((folder / name for name in HELD_OUT if (folder / name).is_dir()), None)
    if held_out is None or not (folder / TRAIN).is_dir():
        raise DataError(f"--data {folder.parent}: {role}/ needs the folders {TRAIN}, and {' or '.join(HELD_OUT)}; `mitlgan data split` makes them")
    ensure_folder(packs)
    start_s = time.process_time()
    train = pack_folder(folder / TRAIN, packs / f"{role}-{size_px}px.npy", size_px=size_px, keep_alpha=role == "fg")
    reading_s = time.process_time() - start_s
    others = pack_folder(held_out, packs / f"{role}-{size_px}px-held-out.npy", size_px=size_px, keep_alpha=role == "fg", limit=MAX_HELD_OUT)
    return TaskPictures(folder, train, others, reading_s)


def write_demo_pictures(folder: Path, role: str) -> None:
    """Write the demo's pictures of one kind as PNG files of 64 px, in `train` and `validation`; a folder that is whole already is left.

    Training backgrounds and held-out ones are of different panoramas, objects of different families, scenes of different pairs.
    """
    done = folder / "done"
    if done.exists():
        return
    for split, pictures in (_demo_objects() if role == "fg" else _demo_backgrounds() if role == "bg" else _demo_scenes()).items():
        ensure_folder(folder / split)
        for index, picture in enumerate(pictures):
            picture.save(folder / split / f"{index:05d}.png", compress_level=1)
    done.touch()


def _demo_objects() -> dict[str, list[Image.Image]]:
    pool = read_pool(FOREGROUNDS)
    families = {name: family(PurePosixPath(name).stem) for name, _, _ in pool}
    held_out = set(sorted(set(families.values()))[::HOLDOUT_EVERY])
    return {
        TRAIN: [picture for name, _, picture in pool if families[name] not in held_out],
        HELD_OUT[0]: [picture for name, _, picture in pool if families[name] in held_out],
    }


def _demo_backgrounds() -> dict[str, list[Image.Image]]:
    return {TRAIN: [picture for _, _, picture in read_pool(BACKGROUNDS)], HELD_OUT[0]: [picture for _, _, picture in read_pool(SCENE_BACKGROUNDS)]}


def _demo_scenes() -> dict[str, list[Image.Image]]:
    objects, backgrounds = ([picture for _, _, picture in read_pool(pool)] for pool in (OBJECTS, SCENE_BACKGROUNDS))
    scenes = {}
    for split, count in ((TRAIN, MAX_PICTURES), (HELD_OUT[0], MAX_HELD_OUT)):
        compositor = SceneCompositor(split, objects, backgrounds)
        pixels = (compositor.make(index, ARCHIVE_PX, "lanczos")[0] for index in range(count))
        scenes[split] = [Image.fromarray(planes[:3].transpose(1, 2, 0)) for planes in pixels]
    return scenes
