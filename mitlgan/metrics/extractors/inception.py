"""The FID Inception network: the only extractor whose Frechet distance is called FID. Its weights are downloaded once."""

from __future__ import annotations

import socket
import urllib.error
from pathlib import Path

import torch
from torch import Tensor, nn

from mitlgan.metrics.extractors.names import OFFLINE_EXTRACTOR
from mitlgan.networks.feature_networks.spec import AbsentWeightsError, FeatureNetworkSpec

INCEPTION_URL = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth"
_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
_FILES = ("pt_inception-2015-12-05-6726825d.pth", "weights-inception-2015-12-05-6726825d.pth")
"""Names of the same file in pytorch-fid and in torch-fidelity."""
_DOWNLOAD_TIMEOUT_S = 30.0


def cached_inception_weights() -> Path | None:
    """Return the weights in torch's hub cache, if they are there; nothing is downloaded."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    return next((folder / file for file in _FILES if (folder / file).is_file()), None)


def _locate(weights: Path | None) -> Path:
    return weights or cached_inception_weights() or _download()


def _download() -> Path:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    target = folder / _FILES[0]
    previous_timeout_s = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_TIMEOUT_S)  # a network that drops packets must not hang the command
    try:
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(INCEPTION_URL, str(target), hash_prefix=_SHA256, progress=False)
    except (urllib.error.URLError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise AbsentWeightsError(
            f"--extractor inception: its weights are absent and cannot be downloaded ({reason}); put {INCEPTION_URL} at {target}, "
            f"or give --weights FILE, or name --extractor {OFFLINE_EXTRACTOR}, which needs no network"
        ) from error
    finally:
        socket.setdefaulttimeout(previous_timeout_s)
    return target


def inception_network() -> nn.Module:
    """Build pytorch-fid's FID Inception without weights, from its modules: its own loader unpickles and is never called."""
    from pytorch_fid import inception as fid
    from torchvision.models import inception_v3

    network: nn.Module = inception_v3(weights=None, num_classes=1008, aux_logits=False, init_weights=False)
    patched = {
        "Mixed_5b": fid.FIDInceptionA(192, pool_features=32),
        "Mixed_5c": fid.FIDInceptionA(256, pool_features=64),
        "Mixed_5d": fid.FIDInceptionA(288, pool_features=64),
        "Mixed_6b": fid.FIDInceptionC(768, channels_7x7=128),
        "Mixed_6c": fid.FIDInceptionC(768, channels_7x7=160),
        "Mixed_6d": fid.FIDInceptionC(768, channels_7x7=160),
        "Mixed_6e": fid.FIDInceptionC(768, channels_7x7=192),
        "Mixed_7b": fid.FIDInceptionE_1(1280),
        "Mixed_7c": fid.FIDInceptionE_2(2048),
    }
    for name, block in patched.items():
        setattr(network, name, block)
    return network


def _build(state: dict[str, Tensor]) -> nn.Module:
    network = inception_network()
    network.load_state_dict(state, strict=True)
    network.register_buffer("class_weights", network.get_parameter("fc.weight").detach().clone())  # (1008, 2048), for the Inception Score
    network.fc = nn.Identity()  # features are the 2,048 pooled values before the classifier
    network.dropout = nn.Identity()
    return network


SPEC = FeatureNetworkSpec(
    name="inception",
    build=_build,
    locate=_locate,
    sha256=_SHA256,
    dim=2048,
    size_px=299,
    resize="bilinear",
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    has_fixed_input=True,
)
