"""Methods that fill holes: a trained context encoder, an embedding in a generator, and baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mitlgan.artifacts.card import KIND_WITH_ARTICLE
from mitlgan.artifacts.load_save import load_network, network_tensors
from mitlgan.artifacts.loaded_artifact import artifact_path, load_artifact
from mitlgan.artifacts.safetensors_io import tensors_sha256
from mitlgan.data.layers.matting import import_opencv
from mitlgan.errors import ArtifactError, UsageError
from mitlgan.images.pixels import to_float, to_uint8
from mitlgan.inversion import InversionSettings, StatusCallback, embed
from mitlgan.networks import ContextEncoder
from mitlgan.networks.context_encoder import IMAGE_CHANNELS
from mitlgan.recipe import shipped_folder

OPENCV_RADIUS_PX = 3.0  # as in OpenCV's examples
BATCH = 64
DEFAULTS = {"context": "context-32", "embed": "bg-32"}
EMBEDDING_SETTINGS = InversionSettings(prior=100.0, attempts=1, polish_steps=0)
"""The visible part must not be fitted at any price: a stronger prior than for a whole picture (chosen on training pictures), and no refinement."""


@dataclass(frozen=True)
class Filler:
    """A method that fills holes.

    Attributes:
        name: Key of `METHODS`.
        size_px: Height and width of its pictures; None takes any.
        fill: Takes pictures (N, 3, H, W) in [-1, 1] and holes (N, 1, H, W), 1 inside; returns whole pictures (N, 3, H, W), including its own version of
            the surroundings. It does not use the pixels inside the holes.
        tensors_sha256: Hash of the network's tensors as they were loaded; None without a network.
    """

    name: str
    size_px: int | None
    fill: Callable[[Tensor, Tensor], Tensor]
    tensors_sha256: str | None = None


def mean(pictures: Tensor, holes: Tensor) -> Tensor:
    """Return the mean color of the visible part everywhere; see `Filler.fill`."""
    visible = 1 - holes
    colors = (pictures * visible).sum((2, 3), keepdim=True) / visible.sum((2, 3), keepdim=True)
    return colors.expand_as(pictures)


def telea(pictures: Tensor, holes: Tensor) -> Tensor:
    """Fill by OpenCV's fast marching (Telea 2004); see `Filler.fill`."""
    return _by_opencv(pictures, holes, "INPAINT_TELEA")


def navier_stokes(pictures: Tensor, holes: Tensor) -> Tensor:
    """Fill by OpenCV's fluid dynamics (Bertalmio et al. 2001); see `Filler.fill`."""
    return _by_opencv(pictures, holes, "INPAINT_NS")


def shipped_artifact(method: str) -> Path:
    """Return the shipped artifact of a method that takes one."""
    return shipped_folder("pretrained") / DEFAULTS[method]


def context_filler(path: Path | None = None) -> Filler:
    """Make a filler from a trained context encoder.

    Args:
        path: Artifact or run; None: the shipped one.

    Raises:
        ArtifactError: There is none, or it is not an inpainter.
    """
    path = path or shipped_artifact("context")
    network, card = load_network(artifact_path(path))
    if not isinstance(network, ContextEncoder):
        kind = f"{KIND_WITH_ARTICLE[card.kind]}, which fills no holes"
        raise ArtifactError(f"--artifact {path}: is {kind}; give a run of `mitlgan train inpaint/context-32`, or use --method embed")

    @torch.inference_mode()
    def fill(pictures: Tensor, holes: Tensor) -> Tensor:
        inputs = torch.cat([pictures, holes], dim=1)
        return torch.cat([network.predict(part).clamp(-1, 1) for part in torch.split(inputs, BATCH)])

    return Filler("context", card.size_px, fill, tensors_sha256(network_tensors(network)))


def embedding_filler(path: Path | None = None, settings: InversionSettings = EMBEDDING_SETTINGS, progress: StatusCallback | None = None) -> Filler:
    """Make a filler that finds the artifact's image most similar to the visible part (Yeh et al. 2017, with another search).

    Args:
        path: Artifact or run; None: the shipped background generator.
        settings: Settings of the embedding.
        progress: Called during the search; see `mitlgan.inversion`.

    Raises:
        ArtifactError: There is none, or its pictures are not RGB.
    """
    path = path or shipped_artifact("embed")
    artifact = load_artifact(path)
    if artifact.card.image_channels != IMAGE_CHANNELS:
        raise ArtifactError(f"--artifact {path}: its pictures have {artifact.card.image_channels} channels; give one that makes RGB pictures")

    def fill(pictures: Tensor, holes: Tensor) -> Tensor:
        masked = torch.where(holes > 0, 0.0, pictures)
        return embed(artifact, masked, settings, weight_mask=1 - holes, progress=progress).images

    return Filler("embed", artifact.card.size_px, fill, artifact.tensors_sha256)


def make_filler(method: str, artifact: Path | None = None) -> Filler:
    """Make the filler of a method's name and an optional artifact.

    Raises:
        UsageError: There is no such method, it takes no artifact, or a required package is missing.
        ArtifactError: The artifact does not fit the method.
    """
    if method not in METHODS:
        raise UsageError(f"--method {method}: is unknown; choose from {', '.join(METHODS)}")
    if method in WITH_ARTIFACT:
        return WITH_ARTIFACT[method](artifact)
    if artifact is not None:
        raise UsageError(f"--artifact {artifact}: --method {method} takes no artifact; leave it out, or use --method {' or '.join(WITH_ARTIFACT)}")
    if method.startswith("opencv"):
        import_opencv()  # so that a missing package is reported before anything is read
    return Filler(method, None, WITHOUT_ARTIFACT[method])


def _by_opencv(pictures: Tensor, holes: Tensor, algorithm: str) -> Tensor:
    cv2 = import_opencv()
    # At the picture's border OpenCV uses pixels inside the hole, and may keep them.
    planes = to_uint8(torch.where(holes > 0, mean(pictures, holes), pictures)).permute(0, 2, 3, 1).contiguous().numpy()  # (N, H, W, 3)
    masks = (holes[:, 0] > 0).numpy().astype(np.uint8)
    filled = [cv2.inpaint(plane, mask, OPENCV_RADIUS_PX, getattr(cv2, algorithm)) for plane, mask in zip(planes, masks, strict=True)]
    return to_float(torch.from_numpy(np.stack(filled)).permute(0, 3, 1, 2))


WITHOUT_ARTIFACT: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"opencv": telea, "opencv-ns": navier_stokes, "mean": mean}
WITH_ARTIFACT: Mapping[str, Callable[[Path | None], Filler]] = {"context": context_filler, "embed": embedding_filler}
METHODS = (*WITH_ARTIFACT, *WITHOUT_ARTIFACT)
