"""Evaluates all arms of a domain alike, and caches each measurement under everything that decides it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mitlgan.artifacts.card import read_weights_hash
from mitlgan.artifacts.load_save import require_same_weights
from mitlgan.artifacts.loaded_artifact import load_artifact
from mitlgan.data.pack.cache import cache_dir
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.errors import ResourceError
from mitlgan.metrics.extractors.extractor import Extractor
from mitlgan.metrics.protocol import EvalProtocol, ImageSource, evaluate, measure_anchors
from mitlgan.networks.resample import resize_image
from mitlgan.runtime.files import ensure_folder, write_json
from mitlgan.runtime.json_files import read_json
from mitlgan.runtime.progress import Reporter

CACHE_VERSION = 4
"""Raised when the way to a number changes, so that older measurements are not used."""

ENLARGEMENT = "bicubic"
"""Filter by which grown generators enlarge their parent's image."""
VALIDATION_SEED = 1
"""Added to the seed, so that snapshots are chosen by other latents than those by which they are reported."""


@dataclasses.dataclass(frozen=True)
class EnlargedImages:
    """The images of an artifact at a larger size.

    Attributes:
        source: The artifact.
        size_px: Height and width of the enlarged images.
    """

    source: ImageSource
    size_px: int

    def sample(self, seeds: Sequence[int]) -> Tensor:
        """Return enlarged images (N, C, H, W) in [-1, 1]."""
        return resize_image(self.source.sample(seeds), self.size_px, ENLARGEMENT).clamp(-1, 1)


@dataclasses.dataclass(frozen=True)
class CachedEvaluator:
    """Evaluates the arms of one domain.

    Attributes:
        protocol: For the reported figures.
        real: The real images that the figures are measured against.
        validation: The images by which snapshots are chosen.
        validation_split: Name of their split.
        extractor: The opened feature extractor.
        device: Where artifacts are sampled.
        reporter: Logs what is measured.
        secondary: The same with further extractors, which choose no snapshots.
    """

    protocol: EvalProtocol
    real: ImagePack
    validation: ImagePack
    validation_split: str
    extractor: Extractor
    device: str
    reporter: Reporter
    secondary: tuple[CachedEvaluator, ...] = ()

    @property
    def real_count(self) -> int:
        """Number of real images that are used."""
        return min(self.protocol.samples, len(self.real))

    def optimism_warnings(self, *, chooses_snapshots: bool) -> list[str]:
        """Return why the figures will be too optimistic, if they will.

        Args:
            chooses_snapshots: Whether snapshots are chosen by validation.
        """
        warnings = []
        if self.protocol.split == "train":
            warnings.append(
                "The real pictures are the training scenes themselves, because no scenes were held out: an arm that memorizes them scores well."
            )
        if chooses_snapshots and self.validation_split == self.protocol.split:
            warnings.append(
                f"Snapshots are chosen on the same pictures that the figures are measured on ({self.protocol.split}; there are no others). "
                "This flatters every arm."
            )
        if len(self.real) < self.protocol.samples:
            pictures = f"{len(self.real):,} real {self.protocol.split} pictures"
            warnings.append(f"There are only {pictures}. All of them are compared with {self.protocol.samples:,} samples of each arm.")
        return warnings

    def evaluate_artifact(self, path: Path, *, validation: bool = False) -> dict[str, Any]:
        """Return the metrics of an artifact or a checkpoint; see `metrics.protocol.evaluate`. Pictures of an early step of a ladder are enlarged.

        Raises:
            ArtifactError: It was replaced before it was loaded: its figures would be kept as those of the network before.
        """
        tensors_sha256 = read_weights_hash(path)

        def load() -> ImageSource:
            loaded = load_artifact(path, device=self.device)
            require_same_weights(path, tensors_sha256)  # by its file again: a checkpoint's hash is of more than the network that is loaded
            return loaded if loaded.card.size_px == self.real.size_px else EnlargedImages(loaded, self.real.size_px)

        return self.evaluate_sampler(tensors_sha256, load, f"{path.parent}", validation=validation)

    def evaluate_sampler(self, key: str, make: Callable[[], ImageSource], label: str, *, validation: bool = False) -> dict[str, Any]:
        """Return the metrics of anything that makes images.

        Args:
            key: Identifies it.
            make: Opens it, if it was not measured before.
            label: Its name in the log.
            validation: Measure on the validation images, with other latents, and with no more samples than there are such images.
        """
        protocol, real = self.protocol, self.real
        if validation:
            real = self.validation
            protocol = dataclasses.replace(
                protocol, split=self.validation_split, seed=protocol.seed + VALIDATION_SEED, samples=min(protocol.samples, max(2, len(real))),
                extrapolate=False,
            )  # fmt: skip

        def measure() -> dict[str, Any]:
            real_count = min(protocol.samples, len(real))
            self.reporter.say(f"measuring {label}: {protocol.samples:,} samples against {real_count:,} real {protocol.split} pictures")
            return evaluate(make(), real, protocol, extractor=self.extractor)

        return self._cached({"artifact": key}, protocol, real, measure)

    def evaluate_anchors(self, packs: Mapping[str, ImagePack]) -> dict[str, dict[str, Any]]:
        """Return the metrics of the anchors; see `metrics.protocol.measure_anchors`."""
        images: Mapping[str, ImagePack | Iterable[Tensor]] = packs
        key = {"anchors": {name: pack.measured_sha256 for name, pack in packs.items()}}
        return self.cached(key, lambda: measure_anchors(self.real, self.protocol, images, extractor=self.extractor))

    def cached(self, key: Mapping[str, Any], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return a measurement against the real images from the cache, or take it now."""
        return self._cached(key, self.protocol, self.real, measure)

    def _cached(self, key: Mapping[str, Any], protocol: EvalProtocol, real: ImagePack, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        path = _cache_file(
            {
                **key,
                "form": CACHE_VERSION,
                "protocol": dataclasses.asdict(protocol),
                "data": real.measured_sha256,
                "extractor": self.extractor.name,
                "weights": self.extractor.weights_sha256,
                # These change the last digits; without them a number would depend on who measured first.
                "device": self.device,
                "threads": torch.get_num_threads(),
                "torch": torch.__version__,
            }
        )
        if path is not None and (values := read_json(path)):
            return values
        values = measure()
        if path is not None:
            with suppress(ResourceError):
                write_json(path, values)
        return values


def _cache_file(key: Mapping[str, Any]) -> Path | None:
    """Return the file of a measurement, or None if there is no cache."""
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    with suppress(ResourceError, OSError):
        folder = cache_dir() / "measured"
        ensure_folder(folder)
        return folder / f"{name}.json"
    return None
