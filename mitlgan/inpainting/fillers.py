"""Ways to fill a hole: a trained context encoder, an embedding in a generator, and what they are measured against."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mitlgan.artifacts.card import KIND_WITH_ARTICLE
from mitlgan.artifacts.load_save import load_network
from mitlgan.artifacts.loaded_artifact import artifact_path, load_artifact
from mitlgan.data.layers.matting import import_opencv
from mitlgan.errors import ArtifactError, UsageError
from mitlgan.images.pixels import to_float, to_uint8
from mitlgan.inversion import InversionSettings, StatusCallback, embed
from mitlgan.networks import ContextEncoder
from mitlgan.networks.context_encoder import IMAGE_CHANNELS
from mitlgan.recipe import shipped_folder

RADIUS_PX = 3.0  # of OpenCV's methods, as in its own examples
CHUNK = 64
DEFAULTS = {"context": "context-32", "embed": "bg-32"}
EMBEDDING_SETTINGS = InversionSettings(prior=100.0, attempts=1, polish_steps=0)
"""What is left must not be explained at any price: a stronger prior than for a whole picture (chosen on training pictures), no search to the bottom."""


@dataclass(frozen=True)
class Filler:
    """One way to fill holes.

    Attributes:
        name: Key of `METHODS`.
        size_px: Height and width of the pictures that it takes; None takes any.
        fill: Of pictures (N, 3, H, W) in [-1, 1] and their holes (N, 1, H, W), 1 where they are, gives whole pictures (N, 3, H, W), around the holes
            as it sees them. It does not look at what stands in the holes.
    """

    name: str
    size_px: int | None
    fill: Callable[[Tensor, Tensor], Tensor]


def mean(pictures: Tensor, holes: Tensor) -> Tensor:
    """The mean colour of what is known of a picture, everywhere; see `Filler.fill`."""
    known = 1 - holes
    colours = (pictures * known).sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True)
    return colours.expand_as(pictures)


def telea(pictures: Tensor, holes: Tensor) -> Tensor:
    """OpenCV's fast marching (Telea 2004); see `Filler.fill`."""
    return _by_opencv(pictures, holes, "INPAINT_TELEA")


def navier_stokes(pictures: Tensor, holes: Tensor) -> Tensor:
    """OpenCV's fluid dynamics (Bertalmio et al. 2001); see `Filler.fill`."""
    return _by_opencv(pictures, holes, "INPAINT_NS")


def shipped_artifact(method: str) -> Path:
    """What ships with the package for a method that takes an artifact."""
    return shipped_folder("pretrained") / DEFAULTS[method]


def context_filler(path: Path | None = None) -> Filler:
    """Filling by a trained context encoder.

    Args:
        path: Artifact or run; None is the shipped one.

    Raises:
        ArtifactError: There is none, or it is no inpainter.
    """
    path = path or shipped_artifact("context")
    network, card = load_network(artifact_path(path))
    if not isinstance(network, ContextEncoder):
        made = f"{KIND_WITH_ARTICLE[card.kind]}, which fills no holes"
        raise ArtifactError(f"--artifact {path}: is {made}; give what `mitlgan train inpaint/context-32` made, or take --method embed")

    @torch.inference_mode()
    def fill(pictures: Tensor, holes: Tensor) -> Tensor:
        given = torch.cat([pictures, holes], dim=1)
        return torch.cat([network.predict(part).clamp(-1, 1) for part in torch.split(given, CHUNK)])

    return Filler("context", card.size_px, fill)


def embedding_filler(path: Path | None = None, settings: InversionSettings = EMBEDDING_SETTINGS, progress: StatusCallback | None = None) -> Filler:
    """Filling by a generator's or composition's own picture that is most like what is left (Yeh et al. 2017, by another search).

    Args:
        path: Artifact or run; None is the shipped background generator.
        settings: Of the embedding.
        progress: Told how far it is; see `mitlgan.inversion`.

    Raises:
        ArtifactError: There is none, or it makes other than RGB pictures.
    """
    path = path or shipped_artifact("embed")
    artifact = load_artifact(path)
    if artifact.card.image_channels != IMAGE_CHANNELS:
        raise ArtifactError(
            f"--artifact {path}: its pictures have {artifact.card.image_channels} channels, those with holes 3; give one of RGB pictures"
        )

    def fill(pictures: Tensor, holes: Tensor) -> Tensor:
        left = torch.where(holes > 0, 0.0, pictures)
        return embed(artifact, left, settings, weight_mask=1 - holes, progress=progress).images

    return Filler("embed", artifact.card.size_px, fill)


def make_filler(method: str, artifact: Path | None = None) -> Filler:
    """The way to fill that a method's name and an artifact say.

    Raises:
        UsageError: There is no such method, it takes no artifact, or a package that it needs is absent.
        ArtifactError: The artifact does not fit it.
    """
    if method not in METHODS:
        raise UsageError(f"--method {method}: there is none of that name; choose one of {', '.join(METHODS)}")
    if method in WITH_ARTIFACT:
        return WITH_ARTIFACT[method](artifact)
    if artifact is not None:
        raise UsageError(f"--artifact {artifact}: --method {method} takes none; leave it out, or take --method {' or '.join(WITH_ARTIFACT)}")
    if method.startswith("opencv"):
        import_opencv()  # its absence is told before anything is read
    return Filler(method, None, WITHOUT_ARTIFACT[method])


def _by_opencv(pictures: Tensor, holes: Tensor, algorithm: str) -> Tensor:
    cv2 = import_opencv()
    # At the picture's border OpenCV looks at what stands in the hole, and may leave it there.
    planes = to_uint8(torch.where(holes > 0, mean(pictures, holes), pictures)).permute(0, 2, 3, 1).contiguous().numpy()  # (N, H, W, 3)
    masks = (holes[:, 0] > 0).numpy().astype(np.uint8)
    found = [cv2.inpaint(plane, mask, RADIUS_PX, getattr(cv2, algorithm)) for plane, mask in zip(planes, masks, strict=True)]
    return to_float(torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2))


WITHOUT_ARTIFACT: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"opencv": telea, "opencv-ns": navier_stokes, "mean": mean}
WITH_ARTIFACT: Mapping[str, Callable[[Path | None], Filler]] = {"context": context_filler, "embed": embedding_filler}
METHODS = (*WITH_ARTIFACT, *WITHOUT_ARTIFACT)
