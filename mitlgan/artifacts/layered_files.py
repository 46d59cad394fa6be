"""A composition's stages as the layers of a picture editor's file."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.errors import UsageError
from mitlgan.images.alpha import to_opaque_rgb, unpremultiply
from mitlgan.images.grid import layer_title
from mitlgan.images.layered_picture import OPAQUE, LayeredPicture, PictureLayer, with_correction
from mitlgan.images.open_raster import encode_open_raster
from mitlgan.images.photoshop import encode_photoshop, require_psd_tools
from mitlgan.images.resize import OWN_SIZE, PictureSize, resize_images
from mitlgan.networks import CompositionStages

LAYERED_FORMATS = ("ora", "psd")


def check_layered_format(form: str, option: str) -> None:
    """Check that a layered format can be written, before anything is rendered.

    Raises:
        UsageError: There is no such format, or its package is missing; the message begins with the option.
    """
    if form not in LAYERED_FORMATS:
        raise UsageError(f"{option}: there is no layered format {form!r}; choose one of {', '.join(LAYERED_FORMATS)}")
    if form == "psd":
        require_psd_tools(option)


def layered_picture(artifact: LoadedArtifact, stages: CompositionStages, size: PictureSize = OWN_SIZE) -> LayeredPicture:
    """Return one picture in layers: the background, each object at its place, and the correction that makes them the composed picture.

    Objects have the colors and mattes with which they were composed, harmonized and transformed, as `mitlgan sample --layers` writes them. Layers of a
    fusion without mattes have those of their generators, so that all of the composed picture is in the correction. A generator alone is one layer.

    Args:
        artifact: The artifact of the picture.
        stages: Stages of one image, as `LoadedArtifact.layers(...)[index]` returns them.
        size: Size to write.

    Raises:
        UsageError: See `mitlgan.images.resize.resize_images`.
    """
    merged = unpremultiply(resize_images(stages.output, size))[0]
    if len(stages.layers) == 1:
        ((name, _),) = stages.layers.items()
        return LayeredPicture((PictureLayer(layer_title(name), _with_alpha(merged)),), _without_gray(merged))
    background, *objects = artifact.card.back_to_front()
    images = {background: to_opaque_rgb(stages.layers[background]), **{name: stages.placed.get(name, stages.layers[name]) for name in objects}}
    layers = [PictureLayer(layer_title(name), _with_alpha(unpremultiply(resize_images(image, size))[0])) for name, image in images.items()]
    return with_correction(layers, _without_gray(merged))


def encode_layered(picture: LayeredPicture, form: str, text: str | None = None) -> bytes:
    """Encode a layered picture.

    Args:
        picture: See `layered_picture`.
        form: One of `LAYERED_FORMATS`.
        text: Text of an OpenRaster's merged image, see `mitlgan.artifacts.picture_record`; a PSD has no place for it.

    Raises:
        UsageError: psd-tools, the extra `psd`, is not installed.
    """
    return _ENCODERS[form](picture, text)


_ENCODERS: dict[str, Callable[[LayeredPicture, str | None], bytes]] = {
    "ora": encode_open_raster,
    "psd": lambda picture, _text: encode_photoshop(picture),
}


def _without_gray(pixels: Tensor) -> Tensor:
    """Return (C, H, W) as it is, or gray as RGB."""
    return pixels.expand(3, -1, -1).contiguous() if len(pixels) == 1 else pixels


def _with_alpha(pixels: Tensor) -> Tensor:
    """Return (C, H, W) as (4, H, W): gray as RGB, and opaque if it has no alpha."""
    colors = _without_gray(pixels)
    return colors if len(colors) == 4 else torch.cat([colors, torch.full_like(colors[:1], OPAQUE)])
