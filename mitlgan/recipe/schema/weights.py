"""Initialization and normalization of a network, which several recipes share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from mitlgan.recipe.schema.base import RecipeTable

Normalisation = Literal["none", "batch"]
Initialization = Literal["torch", "glorot", "normal"]
NormEps = Annotated[float, Field(gt=0.0, le=1.0)]
DEFAULT_STD = 0.02


class InitializedTable(RecipeTable):
    """How weights are initialized.

    Attributes:
        init: `torch`: its defaults. `glorot`: uniform, biases 0 (Keras' default; Glorot & Bengio 2010). `normal`: N(0, init_std), and N(1, init_std)
            for BatchNorm's scales (Radford et al. 2016).
        init_std: Standard deviation for `normal`.
    """

    init: Initialization = "torch"
    init_std: Annotated[float, Field(gt=0.0, le=1.0)] = DEFAULT_STD


class KerasTable(RecipeTable):
    """Initialization and BatchNorm of the thesis' networks, whose framework, Keras, has other defaults than torch. Absent: torch's.

    Attributes:
        init: As of `InitializedTable`.
        init_std: Standard deviation for `normal`; absent: 0.02.
        norm_momentum: As in torch, the weight of the new batch: 0.1; Keras' momentum 0.99 is 0.01 here.
        norm_eps: torch has 1e-5, Keras 1e-3.
    """

    init: Initialization | None = None
    init_std: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    norm_momentum: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    norm_eps: NormEps | None = None

    @property
    def batchnorm_settings(self) -> dict[str, Any]:
        """Return the arguments of a BatchNorm that the recipe sets."""
        settings = {"momentum": self.norm_momentum, "eps": self.norm_eps}
        return {key: value for key, value in settings.items() if value is not None}


class NormalizedTable(InitializedTable):
    """BatchNorm after convolutions and dense layers.

    Attributes:
        normalisation: `batch` or `none`.
        norm_order: `after` the activation, or `before` it.
        norm_momentum: As in torch, the weight of the new batch; Keras' momentum 0.8 is 0.2 here.
        norm_eps: Keras has 1e-3, torch 1e-5.
    """

    normalisation: Normalisation = "batch"
    norm_order: Literal["after", "before"] = "after"
    norm_momentum: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    norm_eps: NormEps = 1e-5
