"""The context encoder: what it may see, what it passes through, what it costs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mitlgan.errors import UsageError
from mitlgan.networks import build_inpainter, summarize_blocks
from mitlgan.networks.context_encoder import pull_push_fill
from mitlgan.recipe import InpainterRecipe

FORMS = [{}, {"skips": False}, {"code_dim": 5}, {"code_dim": 5, "skips": False}]


def given(size_px: int = 16, count: int = 3) -> Tensor:
    """Pictures with a hole each."""
    rng = torch.Generator().manual_seed(1)
    result = torch.rand(count, 4, size_px, size_px, generator=rng) * 2 - 1
    result[:, 3] = 0
    for index in range(count):
        result[index, 3, 2 + index : 9, 4 : 10 + index] = 1
    return result


def network(**changes: object) -> nn.Module:
    torch.manual_seed(0)
    built = build_inpainter(InpainterRecipe(widths=(4, 6), **changes), 16)  # type: ignore[arg-type]
    nn.init.normal_(built.to_image.weight, std=0.2)
    return built


@pytest.mark.parametrize("form", FORMS)
def test_it_does_not_see_what_the_hole_hides_and_passes_the_rest_through(form: dict[str, object]) -> None:
    built, first = network(**form), given()
    second = torch.where(first[:, 3:] > 0, torch.cat([-first[:, :3], first[:, 3:]], 1), first)
    filled = built(first)
    assert torch.equal(filled, built(second))
    hole = (first[:, 3:] > 0).expand(-1, 3, -1, -1)
    assert torch.equal(filled[~hole], first[:, :3][~hole])
    assert not torch.isclose(filled[hole], first[:, :3][hole]).all()


@pytest.mark.parametrize("form", FORMS)
def test_what_is_known_decides_what_is_drawn(form: dict[str, object]) -> None:
    built, first = network(**form), given()
    second = first.clone()
    second[:, :3, 12:] *= -1
    hole = (first[:, 3:] > 0).expand(-1, 3, -1, -1)
    assert not torch.allclose(built(first)[hole], built(second)[hole])


@pytest.mark.parametrize("form", FORMS)
def test_it_begins_at_the_smooth_continuation(form: dict[str, object]) -> None:
    first = given()
    new = build_inpainter(InpainterRecipe(widths=(4, 6), **form), 16)  # type: ignore[arg-type]
    assert torch.equal(new.predict(first), pull_push_fill(first[:, :3], first[:, 3:]))


def test_the_loss_is_the_formula_by_hand() -> None:
    built, first = network(reconstruction_weight=7.0, known_weight=0.3), given()
    filled, loss = built.forward_with_aux_loss(first)  # type: ignore[operator]
    assert torch.equal(filled, built(first))
    samples, hole = built.predict(first), (first[:, 3:] > 0).expand(-1, 3, -1, -1)  # type: ignore[operator]
    squares = (samples - first[:, :3]).square()
    assert loss.item() == pytest.approx(7.0 * (squares[hole].mean() + 0.3 * squares[~hole].mean()).item(), rel=1e-5)


def test_every_weight_learns_by_its_own_loss() -> None:
    for form in FORMS:
        built = network(**form)
        built.forward_with_aux_loss(given())[1].backward()  # type: ignore[operator]
        assert all(parameter.grad is not None and bool(parameter.grad.abs().sum() > 0) for parameter in built.parameters())


@pytest.mark.parametrize("size_px", [8, 13, 32])
def test_smoothly_keeps_what_is_known_and_stays_within_it(size_px: int) -> None:
    pictures = torch.rand(2, 3, size_px, size_px, generator=torch.Generator().manual_seed(2))
    holes = torch.zeros(2, 1, size_px, size_px)
    holes[0, :, 1:5, 2:7] = 1
    holes[1] = 1
    holes[1, :, 0, 0] = 0
    result = pull_push_fill(pictures, holes)
    assert torch.equal(result[0][:, holes[0, 0] == 0], pictures[0][:, holes[0, 0] == 0])
    known = pictures[0][:, holes[0, 0] == 0]
    inside = result[0][:, holes[0, 0] > 0]
    assert bool((inside >= known.amin(1, keepdim=True) - 1e-5).all())
    assert bool((inside <= known.amax(1, keepdim=True) + 1e-5).all())
    torch.testing.assert_close(result[1], pictures[1][:, :1, :1].expand_as(result[1]), atol=1e-5, rtol=0)


def test_its_blocks_are_counted_at_their_sizes() -> None:
    built = network()
    assert built.input_shape == (4, 16, 16)
    table = {row.name: row.output_shape for row in summarize_blocks(built, built.input_shape)}
    assert table["encoder.0.0"] == (4, 8, 8)
    assert table["encoder.1.0"] == (6, 4, 4)
    assert table["to_image"] == (3, 16, 16)


@pytest.mark.parametrize("size_px", [4, 18])
def test_a_size_that_cannot_be_halved_is_refused(size_px: int) -> None:
    with pytest.raises(UsageError, match=r"^inpainter\.widths: 2 widths"):
        build_inpainter(InpainterRecipe(widths=(4, 6)), size_px)
