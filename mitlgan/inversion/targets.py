"""Target pictures from files, in an artifact's size and channels."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from mitlgan.artifacts.card import Card
from mitlgan.data.build.resize import crop_and_resize, to_planes
from mitlgan.data.decode.image_file import UnreadableImageError, decode
from mitlgan.data.recipe_data import recorded_backdrop
from mitlgan.errors import DataError
from mitlgan.images.pixels import to_float, to_grayscale

RESIZE = "lanczos"


def read_target(path: Path, card: Card) -> Tensor:
    """Read a picture; its central square is resized to the artifact's size.

    Args:
        path: A file of a format and size that `mitlgan.data.decode.image_file` takes.
        card: Gives size and channels. Four channels keep transparency, premultiplied; with three it is laid on what the artifact's own pictures were.

    Returns:
        (C, H, W), float32 in [-1, 1].

    Raises:
        DataError: The file is not a usable picture.
    """
    backdrop = recorded_backdrop(card.recipe, card.image_channels)
    try:
        decoded = decode(path, keep_alpha=card.image_channels == 4, size_px=card.size_px, backdrop=backdrop)
    except UnreadableImageError as error:
        raise DataError(f"{path}: {error}; give a picture") from None
    planes = to_planes(crop_and_resize(decoded.picture, card.size_px, RESIZE))[None]  # (1, C, H, W)
    if card.image_channels == 1:
        planes = to_grayscale(planes)
    return to_float(torch.from_numpy(planes))[0]
