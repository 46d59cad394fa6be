"""What a feature network needs: its architecture, its weights file, the input it was trained on."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mitlgan.errors import UsageError


class AbsentWeightsError(UsageError):
    """The weights of a feature network are not on this machine; the message says how to get them."""


@dataclass(frozen=True)
class FeatureNetworkSpec:
    """A kind of feature network.

    Attributes:
        name: Its name on the command line and in recipes.
        build: Builds the network from the tensors of its weights file.
        locate: Returns the weights file: the given one, else the usual one. Raises AbsentWeightsError if there is none.
        sha256: Hash that the weights file must have; None takes any.
        dim: Length of a feature vector.
        size_px: Default input size of an extractor.
        resize: Default resize filter of an extractor.
        mean: Mean of each channel that the input is normalized by, in [0, 1].
        std: Standard deviation of each channel.
        has_fixed_input: The network takes no other input size or filter.
        grey_px: Height and width of the only pictures that it takes, grey ones; None takes all pictures.
        install: Command that installs the weights, if a package holds them.
        stages: Cuts the built network into the blocks up to its features at a quarter, an eighth, a sixteenth and a thirty-second of the input's size;
            None if no critic can look through it.
        channels: Channels of these features.
    """

    name: str
    build: Callable[[dict[str, Tensor]], nn.Module]
    locate: Callable[[Path | None], Path]
    sha256: str | None
    dim: int
    size_px: int
    resize: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    has_fixed_input: bool = False
    grey_px: int | None = None
    install: str = ""
    stages: Callable[[nn.Module], Sequence[nn.Module]] | None = None
    channels: tuple[int, ...] = ()


def packaged_file(package: str, folder: str, file: str) -> Path | None:
    """Find a file of an installed package, without importing the package."""
    spec = importlib.util.find_spec(package)
    paths = [Path(root) / folder / file for root in (spec.submodule_search_locations or [])] if spec else []
    return next((path for path in paths if path.is_file()), None)


def fold_batchnorm(network: nn.Module) -> nn.Module:
    """Fold each BatchNorm into the convolution before it: the same function to 1e-5, 1.6 times as fast.

    Correct for networks whose blocks declare each convolution directly before its normalization and call them in that order.
    """
    network.eval()
    for module in list(network.modules()):
        children = list(module.named_children())
        for (conv_name, conv), (norm_name, norm) in pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(module, norm_name, getattr(norm, "act", nn.Identity()))
    return network
