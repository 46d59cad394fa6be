"""Initial weights other than torch's defaults, and spectral normalization."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.parametrizations import spectral_norm

from mitlgan.recipe.schema.weights import DEFAULT_STD

WEIGHTED_BLOCKS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


@torch.no_grad()
def initialize_weights(network: nn.Module, init: str | None, std: float | None) -> None:
    """Initialize the weights of dense layers and convolutions, from torch's global random numbers.

    Args:
        network: Built by torch's defaults.
        init: `torch`, or None, keeps torch's; `glorot` is uniform with biases 0 (Glorot & Bengio 2010, equation 16); `normal` is N(0, std), biases 0,
            and N(1, std) for BatchNorm's scales (Radford et al. 2016, section 4).
        std: Standard deviation for `normal`; None is 0.02.
    """
    if init is None or init == "torch":
        return
    std = DEFAULT_STD if std is None else std
    for module in network.modules():
        if isinstance(module, WEIGHTED_BLOCKS):
            weight = _raw_weight(module)
            if init == "glorot":
                nn.init.xavier_uniform_(weight)
            else:
                nn.init.normal_(weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, _BatchNorm) and init == "normal":
            nn.init.normal_(module.weight, 1.0, std)


def apply_spectral_norm(network: nn.Module) -> None:
    """Divide every weight of dense layers and convolutions by its largest singular value (Miyato et al. 2018, algorithm 1).

    The vectors of the power iteration are buffers that each forward pass in training updates, so checkpoints hold them.
    """
    for module in network.modules():
        if isinstance(module, WEIGHTED_BLOCKS):
            spectral_norm(module)


def _raw_weight(module: nn.Module) -> Tensor:
    """Return the weight before spectral normalization."""
    parametrizations = getattr(module, "parametrizations", None)
    weight = parametrizations.weight.original if parametrizations is not None else module.weight
    assert isinstance(weight, Tensor)
    return weight
