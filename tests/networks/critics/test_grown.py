"""Critics that grow from smaller ones: the first score is the smaller one's, to the bit, and what is new learns."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from mitlgan import networks
from mitlgan.errors import UsageError
from mitlgan.networks import GrownCritic
from mitlgan.recipe import AnyCritic, GrownCriticRecipe, MlpCriticRecipe, StridedCriticRecipe, ThesisCriticRecipe

PARENTS: list[AnyCritic] = [
    ThesisCriticRecipe(widths=(4, 6), dropout=(0.0, 0.0), flatten_dropout=0.0),
    ThesisCriticRecipe(widths=(4, 6), dropout=(0.0, 0.0), flatten_dropout=0.0, spectral=True, kernel=3),
    StridedCriticRecipe(widths=(4, 6), normalisation="none"),
    StridedCriticRecipe(widths=(4, 6), strides=(1, 2), kernel=5),
]


def grown(form: AnyCritic, size_px: int, parent_px: int = 8) -> tuple[networks.Critic, GrownCritic]:
    torch.manual_seed(1)
    parent = networks.build_critic(form, parent_px).eval()
    child = networks.build_critic(GrownCriticRecipe(parent=form, parent_px=parent_px, width=3), size_px).eval()
    assert isinstance(child, GrownCritic)
    child.load_state_dict({**child.state_dict(), **child.rename_parent_tensors(parent.state_dict())})
    return parent, child


@pytest.mark.parametrize("size_px", [16, 32])
@pytest.mark.parametrize("form", PARENTS)
def test_its_first_score_is_the_smaller_ones(form: AnyCritic, size_px: int) -> None:
    parent, child = grown(form, size_px)
    images = torch.rand(3, 3, size_px, size_px) * 2 - 1
    with torch.no_grad():
        assert torch.equal(child(images), parent(functional.avg_pool2d(images, size_px // 8)))
        child.get_parameter(f"stages.from_{size_px}px.share").fill_(1.0)
        assert not torch.equal(child(images), parent(functional.avg_pool2d(images, size_px // 8)))


def test_what_is_new_learns() -> None:
    _, child = grown(PARENTS[1], 16)
    child.train()
    optimiser = torch.optim.SGD(child.parameters(), lr=0.1)
    before = {name: parameter.clone() for name, parameter in child.named_parameters()}
    for _ in range(2):  # nothing passes through the new block before its share is moved
        optimiser.zero_grad()
        child(torch.rand(4, 3, 16, 16)).sum().backward()
        optimiser.step()
    assert not [name for name, parameter in child.named_parameters() if torch.equal(parameter, before[name])]


def test_it_grows_again() -> None:
    parent, child = grown(PARENTS[0], 16)
    form = GrownCriticRecipe(parent=PARENTS[0], parent_px=8, width=3)
    again = networks.build_critic(GrownCriticRecipe(parent=form, parent_px=16, width=5), 32).eval()
    assert isinstance(again, GrownCritic)
    again.load_state_dict({**again.state_dict(), **again.rename_parent_tensors(child.state_dict())})
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(again(images), child(functional.avg_pool2d(images, 2)))
        again.get_parameter("stages.from_32px.share").fill_(1.0)
        assert not torch.equal(again(images), child(functional.avg_pool2d(images, 2)))
    assert parent.size_px == 8


def test_what_cannot_be_grown() -> None:
    for size_px in (8, 12, 24, 64):
        with pytest.raises(UsageError, match=r"^critic\.parent_px is 8, which does not grow to size_px"):
            networks.build_critic(GrownCriticRecipe(parent=PARENTS[0], parent_px=8), size_px)
    with pytest.raises(UsageError, match=r"^critic\.parent\.kind"):
        networks.build_critic(GrownCriticRecipe(parent=MlpCriticRecipe(), parent_px=8), 16)
    with pytest.raises(UsageError, match=r"^critic\.parent\.image_channels is 3"):
        networks.build_critic(GrownCriticRecipe(parent=PARENTS[0], parent_px=8, image_channels=4), 16)
