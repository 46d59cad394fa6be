"""A page that shows real and generated pictures in a random order, and the key that says which is which.

Nothing in the page tells them apart but the pixels: every picture is embedded without compression, so that all have the same number of bytes, and the
key is a file of its own, which participants do not get.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np
from torch import Tensor

from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.errors import UsageError
from mitlgan.images.encode import encode_png
from mitlgan.images.pixels import to_uint8
from mitlgan.metrics.protocol import ImageSource, to_rgb
from mitlgan.runtime.files import ensure_folder, write_atomically, write_json

SCHEMA_VERSION = 1
REAL = "real"
SHOWN_PX = 320
_STREAM = 0x57D


@dataclass(frozen=True)
class StudyFiles:
    """A study.

    Attributes:
        page: What participants open; needs no network.
        key: Which picture is what; not for participants.
        pictures: How many are shown.
    """

    page: Path
    key: Path
    pictures: int


def write_study(
    out: Path, arms: Mapping[str, ImageSource], real: ImagePack, *, each: int = 20, seed: int = 0, origin: str = "", split: str = "train"
) -> StudyFiles:
    """Write `study.html` and `key.json`.

    Args:
        out: The folder.
        arms: What is judged, by name.
        real: Real pictures.
        each: Pictures of each arm, and real ones.
        seed: Decides pictures, latents and order.
        origin: What participants are told of the real pictures, in words such as "the demo's scenes"; without, nothing but that they are a collection.
        split: Which of the real pictures these are, for the key.

    Raises:
        UsageError: No arm, an arm called `real`, another picture size, or fewer real pictures than asked.
        ResourceError: The folder cannot be written.
    """
    if not arms or REAL in arms:
        raise UsageError(f"study: give at least one arm as NAME=ARTIFACT, and none called {REAL!r}")
    if each > len(real):
        raise UsageError(f"--each {each}: there are {len(real)} real pictures; give fewer")
    rng = np.random.default_rng([seed, _STREAM])
    chosen = np.sort(rng.permutation(len(real))[:each])
    shown: list[tuple[str, str, Tensor]] = [(REAL, f"picture {index}", image) for index, image in zip(chosen, real.batch(chosen), strict=True)]
    for name, arm in arms.items():
        seeds = [int(number) for number in rng.choice(2**31, each, replace=False)]
        images = to_rgb(to_uint8(arm.sample(seeds)))
        if images.shape[-1] != real.size_px:
            raise UsageError(f"study: {name} makes {images.shape[-1]} px images, the real ones have {real.size_px} px")
        shown += [(name, f"seed {number}", image) for number, image in zip(seeds, images, strict=True)]
    order = rng.permutation(len(shown))
    items = [shown[place] for place in order]
    pictures = [encode_png(image, compress_level=0) for _, _, image in items]  # equal sizes give equal numbers of bytes
    study = hashlib.sha256(b"".join(pictures)).hexdigest()[:16]
    key = {
        "schema_version": SCHEMA_VERSION,
        "study": study,
        "seed": seed,
        "data_sha256": real.content_sha256,
        "split": split,
        "items": [{"arm": arm, "source": source} for arm, source, _ in items],
    }
    ensure_folder(out)
    made = StudyFiles(out / "study.html", out / "key.json", len(items))
    write_atomically(made.page, _page(study, pictures, real.size_px, origin))
    write_json(made.key, key)
    return made


def _page(study: str, pictures: Sequence[bytes], size_px: int, origin: str) -> str:
    environment = jinja2.Environment(loader=jinja2.PackageLoader("mitlgan", "study"), autoescape=True, undefined=jinja2.StrictUndefined)
    uris = json.dumps(["data:image/png;base64," + base64.b64encode(picture).decode("ascii") for picture in pictures])
    scale = max(1, SHOWN_PX // size_px)
    shown = {"study": study, "count": len(pictures), "uris": uris, "width": size_px * scale, "origin": origin}
    return environment.get_template("study.html.j2").render(shown)
