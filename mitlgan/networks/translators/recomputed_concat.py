"""Concatenated features that are recomputed in the backward pass instead of stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn


def concat_features(features: Sequence[Tensor]) -> Tensor:
    """Concatenate features (N, C_i, H, W) to one tensor (N, sum of C_i, H, W)."""
    return features[0] if len(features) == 1 else torch.cat(list(features), dim=1)


def apply_to_concat(block: nn.Module, features: Sequence[Tensor]) -> Tensor:
    """Return `block(concat_features(features))`, to the bit, without storing the concatenation for the backward pass.

    A convolution stores its input. In a dense block these inputs are copies of the same features, of quadratic size in total; here the graph stores
    only the features, and the backward pass concatenates them again (Pleiss et al. 2017), which costs little next to the convolution.

    Args:
        block: Takes the concatenated features.
        features: (N, C_i, H, W) each.
    """
    parts = tuple(features)
    concat = concat_features(parts)
    if concat is parts[0] or not torch.is_grad_enabled():  # without a graph nothing is stored, and torch's exporters accept no hooks
        return cast(Tensor, block(concat))

    identity = concat.data_ptr(), concat.numel(), concat.dtype  # `pack` must not hold the tensor itself

    def pack(saved: Tensor) -> Tensor | torch.Size:
        same = (saved.data_ptr(), saved.numel(), saved.dtype) == identity and saved.is_contiguous()
        return saved.shape if same else saved

    def unpack(packed: Tensor | torch.Size) -> Tensor:
        return concat_features(parts).view(packed) if isinstance(packed, torch.Size) else packed

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        return cast(Tensor, block(concat))
