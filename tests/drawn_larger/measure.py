"""Where the distance of a foreground that is drawn larger comes from: its small parent, or the drawing.

PYTHONPATH=tests python -m drawn_larger.measure pretrained/modern-fg-64
PYTHONPATH=tests python -m drawn_larger.measure pretrained/modern-bg-32 --size 64              # whose pictures nothing draws larger
PYTHONPATH=tests python -m drawn_larger.measure pretrained/modern-fg-128 --data foregrounds-128.zip  # against real pictures of 128 px

The child draws its parent's pictures larger. So both ways of enlarging, a plain filter and the child's last stage, are also given real pictures,
reduced to the parent's size: what is left then is what the way of enlarging costs, with a perfect parent.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

import mitlgan
from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.data.open import open_data
from mitlgan.images.pixels import to_float, to_uint8
from mitlgan.metrics.extractors.extractor import extract_features
from mitlgan.metrics.extractors.registry import open_extractor
from mitlgan.metrics.kid import kernel_distance
from mitlgan.metrics.protocol import to_rgb
from mitlgan.networks.generators.sharpened import SharpenedGenerator, Sharpener
from mitlgan.networks.resample import resize_image

EXTRACTORS = ("efficientnet-lite0@96", "mobilenet-v2@96")
BATCH = 50


def split_child(artifact: LoadedArtifact) -> tuple[nn.Module, Sharpener | None]:
    """Return the parent (latents to small pictures) of a child, and its drawing (small pictures to large ones); of others the whole and None."""
    network = artifact.network
    if not isinstance(network, SharpenedGenerator):
        return network, None
    *parent, drawing = network.stages
    assert isinstance(drawing, Sharpener)
    return nn.Sequential(*parent), drawing


def batches(pictures: Tensor, change: Callable[[Tensor], Tensor]) -> Iterator[Tensor]:
    """Yield changed pictures in [-1, 1] as uint8 RGB."""
    with torch.no_grad():
        for part in pictures.split(BATCH):
            yield to_rgb(to_uint8(change(part)))


def measure(path: Path, samples: int, size_px: int | None = None, data: str = "demo") -> list[str]:
    """Return the table, as rows of Markdown.

    Args:
        path: Artifact of a foreground or background; with `size_px` any, without it one that draws its parent's pictures larger.
        samples: Number of generated pictures, and maximum number of real ones on each side.
        size_px: Size to which the artifact's own pictures are enlarged by a filter.
        data: The real pictures; the demo's are enlarged beyond 128 px.
    """
    artifact = mitlgan.load(path)
    parent, drawing = (artifact.network, None) if size_px else split_child(artifact)
    parent_px = artifact.card.size_px if drawing is None else artifact.network.parent_px
    size_px = size_px or artifact.card.size_px
    pack = open_data(data, artifact.card.role, size_px, say=print)
    channels = artifact.network.image_channels
    given, compared = (to_float(pack.batch(range(first, min(len(pack), 2 * samples), 2), channels=channels)) for first in (0, 1))
    small = resize_image(given, parent_px, "bicubic")
    with torch.no_grad():
        drawn = torch.cat([parent(part) for part in artifact.latents(range(samples)).split(BATCH)])

    def enlarge(pictures: Tensor) -> Tensor:
        return resize_image(pictures, size_px, "bicubic")

    rows = [f"| pictures of {size_px} px | " + " | ".join(f"KID, {name}" for name in EXTRACTORS) + " |", "|---|" + "--:|" * len(EXTRACTORS)]
    sources: dict[str, tuple[Tensor, Callable[[Tensor], Tensor]]] = {
        f"generated at {parent_px} px, enlarged by a filter": (drawn, enlarge),
        f"real ones, reduced to {parent_px} px and enlarged by the filter": (small, enlarge),
        "the same real ones, as they are": (given, nn.Identity()),
    }
    if drawing is not None:
        sources |= {"the generated, drawn larger: the child": (drawn, drawing), "the real, drawn larger by the child": (small, drawing)}
    extractors = [open_extractor(name) for name in EXTRACTORS]
    real = [extract_features(extractor, batches(compared, nn.Identity())) for extractor in extractors]
    for label, (pictures, change) in sources.items():
        values = [
            kernel_distance(features, extract_features(one, batches(pictures, change))).mean for one, features in zip(extractors, real, strict=True)
        ]
        rows.append(f"| {label} | " + " | ".join(f"{value:.2f}" for value in values) + " |")
    return rows


def main() -> None:
    """Print the table of an artifact."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--size", type=int, metavar="PX", help="enlarge the artifact's own pictures to this size, by a filter")
    parser.add_argument("--data", default="demo", help="real pictures; by default the demo's")
    parser.add_argument("--samples", type=int, default=1000)
    options = parser.parse_args()
    print("\n".join(measure(options.artifact, options.samples, options.size, options.data)))


if __name__ == "__main__":
    main()
