"""Concatenated features that the graph does not keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn


def concat_features(features: Sequence[Tensor]) -> Tensor:
    """Features (N, C_i, H, W) as one tensor (N, sum of C_i, H, W)."""
    return features[0] if len(features) == 1 else torch.cat(list(features), dim=1)


def apply_to_concat(block: nn.Module, features: Sequence[Tensor]) -> Tensor:
    """Give `block(join(features))`, to the bit, without keeping the joined features.

    A conv keeps its input for the backward pass. Where each takes all earlier features, those inputs are copies of the same numbers, of quadratic size
    together; here the graph keeps the features alone, and the backward pass joins them again (Pleiss et al. 2017). One conv for each feature, summed,
    would copy nothing, and takes the same time: copying is nothing beside convolving.

    Args:
        block: Takes the joined features.
        features: (N, C_i, H, W) each.
    """
    kept = tuple(features)
    joined = concat_features(kept)
    if joined is kept[0] or not torch.is_grad_enabled():  # without a graph nothing is kept, and nothing of torch's exporters is in the way
        return cast(Tensor, block(joined))

    place = joined.data_ptr(), joined.numel(), joined.dtype  # the graph holds `pack`, which must not hold what it is to let go

    def pack(saved: Tensor) -> Tensor | torch.Size:
        same = (saved.data_ptr(), saved.numel(), saved.dtype) == place and saved.is_contiguous()
        return saved.shape if same else saved

    def unpack(packed: Tensor | torch.Size) -> Tensor:
        return concat_features(kept).view(packed) if isinstance(packed, torch.Size) else packed

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        return cast(Tensor, block(joined))
