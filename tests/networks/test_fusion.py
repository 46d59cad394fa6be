import pytest
import torch

from mitlgan import networks
from mitlgan.errors import UsageError
from mitlgan.networks.fusion import Conv1x1Fusion
from mitlgan.recipe import FusionRecipe


def test_thesis_fusion_has_21_parameters() -> None:
    assert networks.count_parameters(Conv1x1Fusion(FusionRecipe(), {"fg": 3, "bg": 3}, 3)) == (21, 21)


@pytest.mark.parametrize("name", ["relu", "tanh", "none"])
def test_every_pixel_is_the_same_mixture_of_all_layers_in_order(name: str) -> None:
    torch.manual_seed(0)
    fusion = Conv1x1Fusion(FusionRecipe(activation=name), {"fg": 4, "bg": 3, "sky": 3}, 3)  # type: ignore[arg-type]
    layers = {key: torch.randn(2, channels, 5, 5) for key, channels in {"sky": 3, "bg": 3, "fg": 4}.items()}
    image, matte = fusion(layers)
    joined = torch.cat([layers["fg"], layers["bg"], layers["sky"]], dim=1)
    linear = torch.einsum("oi,nihw->nohw", fusion.conv.weight[:, :, 0, 0], joined) + fusion.conv.bias.view(1, 3, 1, 1)  # type: ignore[union-attr]
    expected = {"relu": linear.relu(), "tanh": linear.tanh(), "none": linear}[name]
    torch.testing.assert_close(image, expected)
    assert matte is None


def test_unknown_activation_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^composer\.fusion\.activation: .*choose one of relu, tanh"):
        Conv1x1Fusion(FusionRecipe().model_copy(update={"activation": "sine"}), {"fg": 3}, 3)
