"""The registry of extractors. To add one, write its spec in a file of its own, and add it here.

Missing weights are refused with the way to get them; another network is never used instead, because numbers of different networks cannot be compared.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from mitlgan.errors import UsageError, raise_resource_fault
from mitlgan.metrics.extractors import inception
from mitlgan.metrics.extractors.digits import network as digits
from mitlgan.metrics.extractors.extractor import RESIZES, Extractor
from mitlgan.metrics.extractors.names import OFFLINE_EXTRACTOR
from mitlgan.metrics.extractors.timm_networks import timm_spec
from mitlgan.networks.feature_networks import efficientnet_lite0, mobilenet_v2
from mitlgan.networks.feature_networks.spec import FeatureNetworkSpec
from mitlgan.networks.feature_networks.weights import read_weights, reinstall_advice

__all__ = ["EXTRACTORS", "OFFLINE_EXTRACTOR", "RESIZES", "open_extractor"]

EXTRACTORS: dict[str, FeatureNetworkSpec] = {spec.name: spec for spec in (efficientnet_lite0.SPEC, mobilenet_v2.SPEC, inception.SPEC, digits.SPEC)}


def open_extractor(
    name: str,
    weights: Path | None = None,
    *,
    device: torch.device | str = "cpu",
    size_px: int | None = None,
    resize: str | None = None,
) -> Extractor:
    """Open an extractor by name.

    Args:
        name: A key of `EXTRACTORS`, or "timm:NAME" with `weights`; "@SIZE" after it sets `size_px`.
        weights: Weights file in place of the usual one; its hash must be that of the named network ("timm:" takes any).
        device: Where the network runs.
        size_px: Input size in place of the default (inception takes no other).
        resize: Key of `RESIZES` in place of the default.

    Raises:
        UsageError: The name is unknown, weights are missing or wrong, or the network does not take the input. The message says what to do.
    """
    base, at, size_text = name.partition("@")
    if at:
        if not size_text.isdecimal() or size_px not in (None, int(size_text)):
            raise UsageError(f"--extractor {name}: after @ goes one input size in pixels, for instance {OFFLINE_EXTRACTOR}@96")
        size_px = int(size_text)
    spec = timm_spec(base, weights) if base.startswith("timm:") else EXTRACTORS.get(base)
    if spec is None:
        raise UsageError(f"--extractor {name}: unknown; known are {', '.join(EXTRACTORS)} and timm:NAME (with --weights FILE)")
    size_px = spec.size_px if size_px is None else size_px
    resize = spec.resize if resize is None else resize
    _check_input(spec, size_px, resize)
    path = spec.locate(weights)
    label = f"--extractor {spec.name}: {path}" if weights is None else f"--weights {path}"
    state, digest = read_weights(path, spec, label=label, advice=_how_to_get_weights(spec, weights))
    network = _build(spec, state, path)
    return Extractor(network, spec, size_px=size_px, resize=resize, weights_sha256=digest, device=torch.device(device))


def _check_input(spec: FeatureNetworkSpec, size_px: int, resize: str) -> None:
    if resize not in RESIZES:
        raise UsageError(f"--resize {resize}: unknown; known are {', '.join(RESIZES)}")
    if spec.has_fixed_input and (size_px, resize) != (spec.size_px, spec.resize):
        reason = "any other input would not be a FID" if spec.grey_px is None else "leave out the size and --resize"
        raise UsageError(f"--extractor {spec.name}: takes {spec.size_px} px, {spec.resize} only; {reason}")
    if not spec.has_fixed_input and not 32 <= size_px <= 1024:
        raise UsageError(f"--extractor {spec.name}@{size_px}: the input size must lie in 32 to 1024 px")


def _build(spec: FeatureNetworkSpec, state: dict[str, Tensor], path: Path) -> nn.Module:
    try:
        return spec.build(state)
    except (RuntimeError, ValueError) as error:
        raise_resource_fault(error, f"--extractor {spec.name}")
        lines = str(error).strip().splitlines()
        raise UsageError(f"--weights {path}: do not fit {spec.name}: {' '.join(lines[-1].split())[:200]}") from error


def _how_to_get_weights(spec: FeatureNetworkSpec, weights: Path | None) -> str:
    if spec.name == inception.SPEC.name:
        return f"take the file from {inception.INCEPTION_URL}, or name --extractor {OFFLINE_EXTRACTOR}"
    if spec.name.startswith("timm:"):
        return "give a state dict of that network"
    return reinstall_advice(spec) if weights is None else "leave --weights out to take the installed package's"
