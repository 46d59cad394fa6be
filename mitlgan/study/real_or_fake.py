"""Real or fake: how images are drawn so that only their pixels tell them apart, and how answers are scored. For studies and for the studio's quiz."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from mitlgan.artifacts.card import Card
from mitlgan.artifacts.picture_sets import sets_of_card
from mitlgan.artifacts.project_pictures import with_own_pictures
from mitlgan.data.demo import demo_pack
from mitlgan.data.open import open_data
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.pack.origin import describe_origin
from mitlgan.data.recipe_data import recorded_backdrop
from mitlgan.data.sources.split_folders import TRAIN
from mitlgan.data.splits import DEMO, find_splits
from mitlgan.errors import MitlganError, UsageError
from mitlgan.images.encode import encode_png
from mitlgan.images.pixels import to_uint8
from mitlgan.metrics.protocol import ImageSource, to_rgb
from mitlgan.recipe import parse_recipe, with_overrides

REAL = "real"
DEMO_SCENES = 500
SEED_LIMIT = 2**31
MAX_SEEN = 500
"""Real pictures that a quiz asks about, at most; each once."""
MIN_HELD_OUT = 20
"""Held-out pictures that a quiz needs: of fewer it would be over before its score says anything."""
Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Item:
    """One image to judge.

    Attributes:
        arm: `REAL`, or the name of the generator that made it.
        source: Which real picture or which seed it is.
        image: uint8 (3, H, W).
    """

    arm: str
    source: str
    image: Tensor


@dataclass(frozen=True)
class RealnessShare:
    """How often something was taken for real.

    Attributes:
        real: Answers "real".
        answers: All answers.
        realness: Share of answers "real"; None without answers.
        low: Lower end of its 95 % Wilson interval.
        high: Upper end of the interval.
    """

    real: int
    answers: int
    realness: float | None
    low: float
    high: float


def draw_items(arms: Mapping[str, ImageSource], real: ImagePack, each: int, rng: np.random.Generator) -> list[Item]:
    """Draw `each` images of every arm and as many real ones, in random order.

    Raises:
        UsageError: There is no arm, one is called `real`, makes another image size, or there are too few real images.
    """
    if not arms or REAL in arms:
        raise UsageError(f"study: give at least one arm as NAME=ARTIFACT, and none called {REAL!r}")
    if each > len(real):
        raise UsageError(f"--each {each}: there are {len(real)} real pictures; give fewer")
    indices = np.sort(rng.permutation(len(real))[:each])
    items = [Item(REAL, f"picture {index}", image) for index, image in zip(indices, real.batch(indices), strict=True)]
    for name, arm in arms.items():
        seeds = [int(seed) for seed in rng.choice(SEED_LIMIT, each, replace=False)]
        images = to_rgb(to_uint8(arm.sample(seeds)))
        if images.shape[-1] != real.size_px:
            raise UsageError(f"study: {name} makes {images.shape[-1]} px images, the real ones have {real.size_px} px")
        items += [Item(name, f"seed {seed}", image) for seed, image in zip(seeds, images, strict=True)]
    return [items[index] for index in rng.permutation(len(items))]


def draw_secretly(source: ImageSource, real: ImagePack, seen_indices: list[int]) -> tuple[bool, Tensor] | None:
    """Draw a real or a generated image with equal chance, by the system's randomness, so that nobody can predict it.

    A real image that comes a second time gives itself away: each comes once.

    Args:
        source: What draws the generated ones.
        real: The real ones.
        seen_indices: Indices of the real images that this player saw; the drawn one is added.

    Returns:
        Whether it is real, and the image, uint8 (3, H, W); None if the player saw all real ones, or `MAX_SEEN` of them.
    """
    unseen = sorted(set(range(len(real))).difference(seen_indices))
    if not unseen or len(seen_indices) >= MAX_SEEN:
        return None
    if not secrets.randbelow(2):
        return False, to_rgb(to_uint8(source.sample([secrets.randbelow(SEED_LIMIT)])))[0]
    index = unseen[secrets.randbelow(len(unseen))]
    seen_indices.append(index)
    return True, real.batch([index])[0]


def uncompressed_png(image: Tensor) -> bytes:
    """Encode one uint8 image (3, H, W) without compression: images of one size have equally many bytes, so the file size tells nothing."""
    return encode_png(image, compress_level=0)


def realness_share(answers: Sequence[bool]) -> RealnessShare:
    """Count answers; True means "real"."""
    low, high = wilson_interval(sum(answers), len(answers))
    return RealnessShare(sum(answers), len(answers), sum(answers) / len(answers) if answers else None, low, high)


def wilson_interval(hits: int, count: int, z: float = Z_95) -> tuple[float, float]:
    """Return the interval of a share (Wilson 1927, p. 212): correct for few answers, and at 0 and 1, where the usual interval has no width.

    Args:
        hits: Number of successes.
        count: Number of trials; 0 gives (0, 1).
        z: Quantile of the normal distribution.
    """
    if count == 0:
        return 0.0, 1.0
    share = hits / count
    denominator = 1 + z**2 / count
    middle = (share + z**2 / (2 * count)) / denominator
    half = z * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2)) / denominator
    return max(0.0, middle - half), min(1.0, middle + half)


def real_images_for(card: Card, path: Path) -> tuple[ImagePack, str]:
    """Open the real images to compare an artifact with: those of the set that it was trained on, held-out ones if there are enough.

    Fewer than `MIN_HELD_OUT` are enough only if there are no more training images than that.

    Images of any other set would ask another question: not which are generated, but which are of the other set.

    Args:
        card: The artifact's.
        path: Its file; what a relative path in the card means is seen from the folders around it, see `with_own_pictures`.

    Returns:
        The images, and a description of them.

    Raises:
        UsageError: The images are unknown, missing, or have changed.
    """
    source, role = str(card.data.get("source") or ""), card.role
    name = Path(source).name
    if not source:
        raise UsageError("quiz: the artifact does not say which pictures it was trained on, so there are no real ones to ask about; choose another")
    try:
        source = _source_now(card, source, path)
        parts = find_splits(source, role).parts
        split = next((split for split in ("test", "validation") if split in parts), TRAIN)
        real = _open_unchanged(card, source, split)
        few = "" if split == TRAIN or real is None or len(real) >= MIN_HELD_OUT else f", as only {len(real)} are held out"
        if few and real is not None and (training := _open_unchanged(card, source, TRAIN)) is not None and len(training) > len(real):
            real, split = training, TRAIN
    except MitlganError:
        raise UsageError(
            f"quiz: the pictures that the artifact was trained on ({name}) are not at hand, so there are no real ones to ask about; choose another"
        ) from None
    if real is None:
        raise UsageError(f"quiz: the pictures of {name} are no longer those that the artifact was trained on, so none are asked about")
    return real, f"{describe_origin(source, role)}; {f'it was trained on them{few}' if split == TRAIN else f'held out, {split}'}"


def _source_now(card: Card, source: str, path: Path) -> str:
    """Return where an artifact's data is now: its project was perhaps moved, or the card names it by a relative path."""
    try:
        recipe = with_overrides(parse_recipe(card.recipe, str(path)), data__source=source)
    except UsageError:  # a card without a whole recipe says no more than the path
        return source
    return with_own_pictures(recipe, path, lambda: sets_of_card(card.data)).data.source


def _open_unchanged(card: Card, source: str, split: str) -> ImagePack | None:
    """Open a split of the artifact's data; None if the training images have changed."""
    role, backdrop = card.role, recorded_backdrop(card.recipe, card.image_channels)
    if source == DEMO:
        return demo_pack(role, card.size_px, split=split, count=DEMO_SCENES if role == "scene" else None).with_backdrop(backdrop)
    data = card.recipe.get("data")
    resize = str(data.get("resize", "lanczos")) if isinstance(data, dict) else "lanczos"
    training = open_data(source, role, card.size_px, resize=resize, backdrop=backdrop)
    if training.content_sha256 != card.data.get("content_sha256"):
        return None
    return training if split == TRAIN else open_data(source, role, card.size_px, resize=resize, split=split, backdrop=backdrop)
