"""Builds the demo archives from the source sets: `python -m mitlgan.data.demo.build SOURCE_DIR`.

SOURCE_DIR holds `foregrounds-128.zip` with `foregrounds.csv`, `scene-objects-256.zip`, and `backgrounds-cc0-128.zip` with `backgrounds-cc0.csv`. The
same sources and the same Pillow make the same bytes. It also writes CREDITS.json and CREDITS.md.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import PIL
from PIL import Image

from mitlgan.data.demo.archive import ARCHIVES, BACKGROUNDS, FOLDER, FOREGROUNDS, OBJECTS, SCENE_BACKGROUNDS, family
from mitlgan.errors import DataError, MitlganError

VARIANTS_PER_FIGURE = 4  # of up to six: the figure without skin tone and three of its five tones
OBJECT_QUALITY = 95  # lossy colors, lossless alpha
BACKGROUND_QUALITY = 90
SHUFFLE_SEED = 20
EPOCH_1980 = (1980, 1, 1, 0, 0, 0)

Entry = tuple[str, bytes]


def choose_foregrounds(table: list[dict[str, str]]) -> list[dict[str, str]]:
    """Choose all objects, but only `VARIANTS_PER_FIGURE` of each figure with skin tones, with rotating tones.

    The source is 62 % people, most of them six times the same figure; this keeps every figure and every tone, and 53 % people.
    """
    figures: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in sorted(table, key=lambda row: row["original"]):
        figures[row["base"]].append(row)
    selection = []
    for number, rows in enumerate(figures.values()):
        plain = [row for row in rows if "skin tone" not in row["name"]]
        toned = [row for row in rows if "skin tone" in row["name"]]
        if len(rows) <= VARIANTS_PER_FIGURE:
            selection += rows
            continue
        count = VARIANTS_PER_FIGURE - len(plain)
        first = number % len(toned)
        selection += plain + (toned + toned)[first : first + count]
    return selection


def foregrounds(source: Path, px: int) -> Iterator[Entry]:
    """Yield objects for foreground generators: centered, longest side 86 % of the picture."""
    table = _table(source / "foregrounds.csv")
    with zipfile.ZipFile(source / "foregrounds-128.zip") as archive:
        for row in choose_foregrounds(table):
            picture = _open(archive.read(f"fg/{row['file']}"), "RGBA")
            yield f"{FOREGROUNDS}/{row['original']}", _encode(_resize(picture, (px, px)), OBJECT_QUALITY)


def scene_objects(source: Path, px: int) -> Iterator[Entry]:
    """Yield objects for scenes, cropped to their outline, longest side `px`, so that scaling loses no sharpness."""
    with zipfile.ZipFile(source / "scene-objects-256.zip") as archive:
        for name in sorted(archive.namelist()):
            picture = _open(archive.read(name), "RGBA")
            picture = picture.crop(picture.getchannel("A").getbbox())
            scale = px / max(picture.size)
            width, height = (max(1, round(side * scale)) for side in picture.size)
            yield f"{OBJECTS}/{PurePosixPath(name).name}", _encode(_resize(picture, (width, height)), OBJECT_QUALITY)


def backgrounds(source: Path, px: int, folder: str, pool: str) -> Iterator[Entry]:
    """Yield views of panoramas; their names begin with the panorama."""
    table = _table(source / "backgrounds-cc0.csv")
    with zipfile.ZipFile(source / "backgrounds-cc0-128.zip") as archive:
        for row in table:
            name = PurePosixPath(row["file"])
            if name.parent.name != folder:
                continue
            if row["licence"] != "CC0":
                raise DataError(f"{name}: licence {row['licence']} may not be shipped; only CC0 may")
            picture = _open(archive.read(str(name)), "RGB").resize((px, px), Image.Resampling.LANCZOS)
            yield f"{pool}/{PurePosixPath(row['panorama']).stem}-{name.name}", _encode(picture, BACKGROUND_QUALITY)


def build(source: Path, target: Path = FOLDER) -> dict[str, object]:
    """Write the archives and their credits into a folder, and return the credits.

    Raises:
        DataError: A source is missing, its licence forbids shipping, or the pools of scenes and generators overlap.
    """
    for px, path in ARCHIVES.items():
        pools: dict[str, list[Entry]] = {
            FOREGROUNDS: list(foregrounds(source, px)),
            BACKGROUNDS: list(backgrounds(source, px, "generator", BACKGROUNDS)),
            OBJECTS: list(scene_objects(source, px)),
            SCENE_BACKGROUNDS: list(backgrounds(source, px, "scene", SCENE_BACKGROUNDS)),
        }
        _refuse_overlap(pools)
        with zipfile.ZipFile(target / path.name, "w", zipfile.ZIP_STORED) as archive:
            for number, entries in enumerate(pools.values()):
                for index in np.random.default_rng([SHUFFLE_SEED, number]).permutation(len(entries)):
                    name, content = entries[index]
                    archive.writestr(_entry_info(name), content)
    credits = credits_of([target / path.name for path in ARCHIVES.values()], {pool: len(entries) for pool, entries in pools.items()})
    (target / "CREDITS.json").write_text(json.dumps(credits, indent=1) + "\n")
    (target / "CREDITS.md").write_text(_credits_text(credits))
    return credits


def credits_of(archives: Iterable[Path], counts: dict[str, int]) -> dict[str, object]:
    """Return the archives' hashes, and the origin and licence of every pool."""
    emoji = {
        "licence": "MIT",
        "copyright": "Copyright (c) Microsoft Corporation",
        "source": "Microsoft Fluent Emoji 3D, https://github.com/microsoft/fluentui-emoji, from npm @lobehub/fluent-emoji-3d 1.1.0",
    }
    panoramas = {
        "licence": "CC0-1.0",
        "source": "perspective views cut from HDR panoramas of npm @pmndrs/assets 1.7.0 and of Debian's blender-data, all CC0",
    }
    used_for = {
        FOREGROUNDS: ("foreground generators; objects with alpha", emoji),
        BACKGROUNDS: ("background generators", panoramas),
        OBJECTS: ("scenes; objects with alpha, none of them in fg in any skin tone", emoji),
        SCENE_BACKGROUNDS: ("scenes; panoramas that are not in bg", panoramas),
    }
    return {
        "archives": [
            {"archive": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size, "picture_px": px}
            for px, path in zip(ARCHIVES, archives, strict=True)
        ],
        "encoding": f"WebP (Pillow {PIL.__version__}), quality {OBJECT_QUALITY} for objects (alpha lossless) and {BACKGROUND_QUALITY} for places",
        "built_by": "python -m mitlgan.data.demo.build SOURCE_DIR",
        "pools": {pool: {"count": counts[pool], "for": purpose, **origin} for pool, (purpose, origin) in used_for.items()},
    }


def _credits_text(credits: dict[str, Any]) -> str:
    lines = ["# Demo pictures: credits and licences", "", f"Made by `{credits['built_by']}`. {credits['encoding']}.", ""]
    lines += [
        f"- `{about['archive']}`: pictures of {about['picture_px']} px (objects of scenes: longest side); {about['bytes']:,} bytes, "
        f"SHA-256 `{about['sha256']}`."
        for about in credits["archives"]
    ]
    lines += ["", "Both hold the same pictures:", "", "| folder | pictures | for | licence | source |", "|---|---|---|---|---|"]
    lines += [
        f"| `{pool}/` | {about['count']} | {about['for']} | {about['licence']} {about.get('copyright', '')} | {about['source']} |"
        for pool, about in credits["pools"].items()
    ]
    return "\n".join([*lines, "", *MIT_TEXT.splitlines(), ""])


def _refuse_overlap(pools: dict[str, list[Entry]]) -> None:
    def families(pool: str) -> set[str]:
        return {family(PurePosixPath(name).stem) for name, _ in pools[pool]}

    def panoramas(pool: str) -> set[str]:
        return {PurePosixPath(name).stem.rpartition("-")[0] for name, _ in pools[pool]}

    shared = (families(FOREGROUNDS) & families(OBJECTS)) | (panoramas(BACKGROUNDS) & panoramas(SCENE_BACKGROUNDS))
    if shared:
        raise DataError(f"demo: {len(shared)} objects or panoramas are both in the scenes' pools and in the generators': {sorted(shared)[:3]}")


def _table(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            return list(csv.DictReader(lines))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; SOURCE_DIR must hold the source sets") from None


def _open(content: bytes, mode: str) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert(mode)


def _resize(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    return picture.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")


def _encode(picture: Image.Image, quality: int) -> bytes:
    content = io.BytesIO()
    picture.save(content, "WEBP", quality=quality, alpha_quality=100, method=6)
    return content.getvalue()


def _entry_info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, EPOCH_1980)
    info.external_attr = 0o644 << 16
    info.create_system = 3  # otherwise the bytes would depend on the system
    return info


MIT_TEXT = """\
## The MIT licence of the objects

Copyright (c) Microsoft Corporation.

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the "Software"), to
deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or
sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN
THE SOFTWARE."""


if __name__ == "__main__":
    try:
        print(json.dumps(build(Path(sys.argv[1])), indent=1))
    except (IndexError, MitlganError) as error:
        sys.exit(f"usage: python -m mitlgan.data.demo.build SOURCE_DIR ({error})")
