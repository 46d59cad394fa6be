"""Images as PNG files and data URIs: the same bytes wherever an image is displayed or downloaded."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import torch
from torch import Tensor

from mitlgan.images.alpha import unpremultiply
from mitlgan.images.encode import encode_png, encode_with_text
from mitlgan.images.pixels import to_uint8
from mitlgan.images.resize import OWN_SIZE, PictureSize, resize_images
from mitlgan.networks import CompositionStages
from mitlgan.studio.errors import RequestRefused
from mitlgan.studio.schemas import State

PNG = "image/png"
NO_DATE = (1980, 1, 1, 0, 0, 0)
"""Date of all files in a zip, so that a state's zip always has the same bytes."""


def image_png(image: Tensor) -> bytes:
    """Encode one image (1, C, H, W) in [-1, 1] as PNG; alpha is straight."""
    return encode_png(unpremultiply(to_uint8(image))[0])


def data_uri(content: bytes) -> str:
    """Return a PNG as a data URI."""
    return f"data:{PNG};base64,{base64.b64encode(content).decode('ascii')}"


def stage_images(stages: CompositionStages) -> dict[str, Tensor]:
    """Return every stage that can be requested, (1, C, H, W) in [-1, 1], by its name in requests."""
    images = {"output": stages.output, "fused": stages.fused}
    if stages.matte is not None:
        images["matte"] = stages.matte * 2 - 1
    images |= {f"matte:{name}": matte for name, matte in stages.layer_mattes.items()}
    images |= {f"layer:{name}": image for name, image in stages.layers.items()}
    images |= {f"transparent:{name}": image for name, image in stages.placed.items()}
    is_single = len(stages.layers) == 1 and not stages.placed
    return images | {f"transparent:{name}": image for name, image in stages.layers.items() if is_single and image.shape[1] == 4}


def stage_png(stages: CompositionStages, what: str, size: PictureSize = OWN_SIZE, text: str | None = None) -> bytes:
    """Return one stage as PNG.

    Args:
        stages: Stages of the picture.
        what: Name of the stage.
        size: Size to write.
        text: How the picture was made; see `mitlgan.artifacts.picture_record`.

    Raises:
        RequestRefused: 422, the picture has no such stage.
    """
    images = stage_images(stages)
    if what not in images:
        raise RequestRefused(422, f"what: this picture has no such stage; choose from {', '.join(images)}")
    return encode_with_text(unpremultiply(resize_images(images[what], size))[0], "PNG", text)


def stages_zip(stages: CompositionStages, state: State, size: PictureSize = OWN_SIZE, text: str | None = None) -> bytes:
    """Return a zip of every stage as PNG, and the state; the composed picture has the text."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for what in stage_images(stages):
            content = stage_png(stages, what, size, text if what == "output" else None)
            archive.writestr(zipfile.ZipInfo(f"{what.replace(':', '-')}.png", NO_DATE), content)
        archive.writestr(zipfile.ZipInfo("state.json", NO_DATE), json.dumps(state_json(state), indent=2) + "\n")
    return buffer.getvalue()


def state_json(state: State) -> dict[str, Any]:
    """Return a state as JSON values without defaults."""
    return state.model_dump(mode="json", exclude_defaults=True)


def state_link(state: State) -> str:
    """Return the page's link to a state: compact JSON in the fragment, as the picture endpoints take it in their query."""
    return f"#s={quote(json.dumps(state_json(state), separators=(',', ':')), safe='')}"


def shortest_floats(z: Mapping[str, Tensor]) -> dict[str, list[float]]:
    """Return latents as floats with the fewest digits that give the same float32."""
    return {name: [float(str(number)) for number in part.detach().to(torch.float32).cpu().numpy()] for name, part in z.items()}
