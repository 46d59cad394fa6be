"""A study's page, which shows real and generated images in random order, and its key, which says which is which.

Only pixels tell the images apart: each is embedded without compression, so that all have equally many bytes. The key is a separate file, which
participants do not get.
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

from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.metrics.protocol import ImageSource
from mitlgan.runtime.files import ensure_folder, write_atomically, write_json
from mitlgan.runtime.unfinished_outputs import remove_if_failed
from mitlgan.study.real_or_fake import draw_items, uncompressed_png

SCHEMA_VERSION = 1
DISPLAY_PX = 320
_STREAM = 0x57D


@dataclass(frozen=True)
class StudyFiles:
    """Paths of a study.

    Attributes:
        page: Page for participants; needs no network.
        key: Which image is what; not for participants.
        pictures: Number of images.
    """

    page: Path
    key: Path
    pictures: int


def write_study(
    out: Path, arms: Mapping[str, ImageSource], real: ImagePack, *, each: int = 20, seed: int = 0, origin: str = "", split: str = "train"
) -> StudyFiles:
    """Write `study.html` and `key.json`.

    Args:
        out: Folder to write.
        arms: Generators to judge, by name.
        real: Real images.
        each: Images per arm, and of the real ones.
        seed: Decides images, latents and order.
        origin: Description of the real images for participants, such as "the demo's scenes"; without it they only learn that these are a collection.
        split: Split of the real images, for the key.

    Raises:
        UsageError: There is no arm, one is called `real`, makes another image size, or there are too few real images.
        ResourceError: The folder cannot be written.
    """
    items = draw_items(arms, real, each, np.random.default_rng([seed, _STREAM]))
    pictures = [uncompressed_png(item.image) for item in items]
    study = hashlib.sha256(b"".join(pictures)).hexdigest()[:16]
    key = {
        "schema_version": SCHEMA_VERSION,
        "study": study,
        "seed": seed,
        "data_sha256": real.content_sha256,
        "split": split,
        "items": [{"arm": item.arm, "source": item.source} for item in items],
    }
    files = StudyFiles(out / "study.html", out / "key.json", len(items))
    with remove_if_failed(out):
        ensure_folder(out)
        write_atomically(files.page, _page(study, pictures, real.size_px, origin), root=out, is_new=True)
        write_json(files.key, key, root=out, is_new=True)
    return files


def _page(study: str, pictures: Sequence[bytes], size_px: int, origin: str) -> str:
    environment = jinja2.Environment(loader=jinja2.PackageLoader("mitlgan", "study"), autoescape=True, undefined=jinja2.StrictUndefined)
    uris = json.dumps(["data:image/png;base64," + base64.b64encode(picture).decode("ascii") for picture in pictures])
    scale = max(1, DISPLAY_PX // size_px)
    values = {"study": study, "count": len(pictures), "uris": uris, "width": size_px * scale, "origin": origin}
    return environment.get_template("study.html.j2").render(values)
