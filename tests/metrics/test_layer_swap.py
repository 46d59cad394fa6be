"""Separation of a composer in use."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mitlgan import networks
from mitlgan.artifacts.card import Card, LayerCard
from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.data.pack.image_pack import BACKDROP
from mitlgan.data.pack.writer import PackWriter
from mitlgan.errors import UsageError
from mitlgan.metrics import layer_swap
from mitlgan.metrics.layer_swap import (
    PROBE_POSITIONS,
    SwapSpec,
    change_when_moved,
    doubt_about_key,
    find_backdrop,
    measure_separation,
    real_contrast,
    swap_for,
)
from mitlgan.networks import Composer, LayerTransform, Network
from mitlgan.networks.translators.bounded_residual import BoundedResidual
from mitlgan.recipe import ComposerRecipe, ThesisGeneratorRecipe
from mitlgan.recipe.schema.composer import OverFusionRecipe

SIDE = 24


def picture(seed: int, kind: int) -> Tensor:
    return torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(2 * seed + kind)) * 2 - 1


def disc(seed: int) -> Tensor:
    down, across = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    return (torch.hypot(down - 10.0 - seed % 4, across - 11.0 - seed % 3) < 7).float()


class Paste:
    """A perfect composer over foregrounds with alpha or on a plain backdrop, white by default."""

    def __init__(self, alpha: bool, opacity: float = 1.0, right_px: int = 0, backdrop: tuple[int, int, int] = BACKDROP) -> None:
        self.alpha, self.opacity, self.right_px = alpha, opacity, right_px
        self.backdrop = torch.tensor(backdrop).view(3, 1, 1) / 127.5 - 1

    def layers(self, seeds: Mapping[str, Sequence[int]]) -> SimpleNamespace:
        mattes = torch.stack([disc(seed) for seed in seeds["fg"]])[:, None]
        fronts = torch.stack([picture(seed, 0) * 0.8 for seed in seeds["fg"]])
        backs = torch.stack([picture(seed, 1) for seed in seeds["bg"]])
        shown = mattes.roll(self.right_px, 3) * self.opacity  # no disc comes near the edge
        output = shown * fronts.roll(self.right_px, 3) + (1 - shown) * backs
        fg = torch.cat([mattes * (fronts + 1) - 1, mattes * 2 - 1], 1) if self.alpha else mattes * fronts + (1 - mattes) * self.backdrop
        return SimpleNamespace(layers={"fg": fg, "bg": backs}, output=output, transforms=self.stands(len(fronts)))

    def stands(self, count: int) -> dict[str, LayerTransform]:
        still = LayerTransform(torch.ones(count), torch.full((count,), 2 * self.right_px / SIDE), torch.zeros(count), torch.ones(count))
        return {"fg": still} if self.right_px else {}


@pytest.mark.parametrize("right_px", [0, 2])
@pytest.mark.parametrize("alpha", [True, False])
def test_a_perfect_composer_scores_perfectly_wherever_its_foreground_stands(alpha: bool, right_px: int) -> None:
    found = measure_separation(Paste(alpha, right_px=right_px), foregrounds=5, backgrounds=6)
    numbers = found.numbers
    assert numbers["matte_iou"] == pytest.approx(1)
    assert numbers["compositionality"] == pytest.approx(1)
    assert (numbers["leak_b_to_f"], numbers["leak_f_to_b"]) == pytest.approx((0, 0), abs=1e-9)
    assert (numbers["foregrounds"], numbers["backgrounds"]) == (5, 6)
    assert ("alpha" in numbers["reference_matte"]) == alpha
    assert ("tolerance 13 of 255" in numbers["reference_matte"]) != alpha
    assert found.grid.shape == (6 * 7, 3, SIDE, SIDE)
    assert found.columns == 7
    json.dumps(numbers, allow_nan=False)


@pytest.mark.parametrize("is_declared", [True, False])
@pytest.mark.parametrize("backdrop", [(0, 0, 0), (0, 255, 0), (250, 250, 255), (9, 99, 200)])
def test_foregrounds_before_any_plain_colour_are_keyed_against_it(backdrop: tuple[int, int, int], is_declared: bool) -> None:
    swap = SwapSpec(declared={"fg": backdrop} if is_declared else {})
    numbers = measure_separation(Paste(False, backdrop=backdrop), foregrounds=5, backgrounds=6, swap=swap).numbers
    assert numbers["matte_iou"] == pytest.approx(1)
    assert (numbers["leak_b_to_f"], numbers["leak_f_to_b"]) == pytest.approx((0, 0), abs=1e-9)
    near_white = backdrop == (250, 250, 255) and not is_declared  # within the tolerance of what an artifact without a colour stands before
    assert f"backdrop {BACKDROP if near_white else backdrop}, tolerance 13 of 255" in numbers["reference_matte"]
    assert "no plain backdrop" not in numbers["reference_matte"]


def test_foregrounds_without_a_plain_backdrop_have_no_key_and_it_is_said() -> None:
    noise = np.stack([picture(seed, 0).numpy() for seed in range(8)])
    color, share = find_backdrop(noise, (1, 2, 3))
    assert (color, share < 0.05) == ((1, 2, 3), True)
    assert doubt_about_key(share).startswith("; no plain backdrop: 0% of its border has that colour")
    assert doubt_about_key(0.5) == ""


def test_the_colour_of_the_border_is_found_by_most_of_its_pixels() -> None:
    objects = np.full((4, 3, 10, 10), -1.0)
    objects[:, :, 4:, :] = 0.3  # objects that leave the picture at three sides, over less than half of the border
    objects[1:3, :, 4:, :] = -1.0
    assert find_backdrop(objects) == ((0, 0, 0), pytest.approx(1 - 0.5 * 20 / 36))
    assert find_backdrop(objects[:, :1])[0] == (0, 0, 0)  # grey


def test_a_declared_colour_comes_from_the_recipe_of_each_layers_generator() -> None:
    card = card_of(None, fg="fg", bg="bg")
    layers = {name: layer.model_copy(update={"card": {"made_by": {"data": {"backdrop": [0, 9, 8]}}}}) for name, layer in card.layers.items()}
    assert swap_for(card.model_copy(update={"layers": layers | {"bg": card.layers["bg"]}})).declared == {"fg": (0, 9, 8)}
    assert swap_for(card).declared == {}


def test_a_background_that_shows_through_is_told() -> None:
    assert measure_separation(Paste(True, opacity=0.5), foregrounds=5, backgrounds=6).numbers["leak_b_to_f"] == pytest.approx(0.25)


def test_seeds_choose_the_layers() -> None:
    first, again, other = (measure_separation(Paste(True, 0.9), foregrounds=3, backgrounds=3, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.grid, again.grid)
    assert not torch.equal(first.grid, other.grid)


def test_boundaries_are_held_against_real_scenes(tmp_path: Path) -> None:
    made = Paste(True).layers({"fg": range(100, 140), "bg": range(100, 140)})
    pixels = torch.cat([made.output, made.layers["fg"][:, 3:]], 1)
    with PackWriter(tmp_path / "scenes.npy", SIDE, "matte") as writer:
        for scene in pixels.add(1).mul(127.5).round().to(torch.uint8).numpy():
            writer.append(np.ascontiguousarray(scene), {"name": "x", "sha256": "0", "width": SIDE, "height": SIDE})
        real = writer.publish(resize="none", crop="none", licence="none", made_by={}, skipped=[])
    assert measure_separation(Paste(True), real, foregrounds=6, backgrounds=4).numbers["boundary_ratio"] == pytest.approx(1, abs=0.1)
    assert measure_separation(Paste(True), None, foregrounds=6, backgrounds=4).numbers["boundary_ratio"] is None


def test_the_reference_is_of_scenes_over_all_of_a_sorted_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sharp objects come first by name, blurred ones last."""
    down, across = np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")
    distance = np.hypot(down - 11.5, across - 11.5)
    noise = np.random.default_rng(0).integers(0, 30, (3, SIDE, SIDE))
    with PackWriter(tmp_path / "scenes.npy", SIDE, "matte") as writer:
        for softness in [0.1] * 10 + [6.0] * 10:
            matte = np.clip((7 - distance) / softness + 0.5, 0, 1)
            scene = np.concatenate([noise * (1 - matte) + 225 * matte, matte[None] * 255]).round().astype(np.uint8)
            writer.append(scene, {"name": "x", "sha256": "0", "width": SIDE, "height": SIDE})
        real = writer.publish(resize="none", crop="none", licence="none", made_by={}, skipped=[])
    whole = real_contrast(real)
    monkeypatch.setattr(layer_swap, "REAL_SCENES", 4)
    few = real_contrast(real)
    assert whole is not None
    assert few == pytest.approx(whole, rel=0.1)


class PasteThree(Paste):
    """A perfect composer with a layer between, which covers part of the background."""

    def layers(self, seeds: Mapping[str, Sequence[int]]) -> SimpleNamespace:
        made = super().layers(seeds)
        mattes = torch.stack([disc(seed) for seed in seeds["far"]])[:, None].roll(5, 2)
        fars = torch.stack([picture(seed, 1) * 0.5 for seed in seeds["far"]])
        behind = mattes * fars + (1 - mattes) * made.layers["bg"]
        front = made.layers["fg"][:, 3:].add(1) / 2
        output = front * (made.layers["fg"][:, :3] + 1) - front + (1 - front) * behind
        far = torch.cat([mattes * (fars + 1) - 1, mattes * 2 - 1], 1)
        return SimpleNamespace(layers={"bg": made.layers["bg"], "far": far, "fg": made.layers["fg"]}, output=output, transforms={})


def test_a_layer_between_is_part_of_what_covers_the_background() -> None:
    found = measure_separation(PasteThree(True), foregrounds=5, backgrounds=6, swap=SwapSpec("fg", "bg", ["far"], ["far"])).numbers
    assert found["matte_iou"] == pytest.approx(1)
    assert (found["leak_b_to_f"], found["leak_f_to_b"]) == pytest.approx((0, 0), abs=1e-9)
    assert found["reference_matte"].endswith(", with far")
    unknown = measure_separation(PasteThree(True), foregrounds=5, backgrounds=6, swap=SwapSpec("fg", "bg", ["far"])).numbers
    assert unknown["matte_iou"] < 0.9
    assert unknown["reference_matte"].endswith("; what far covers is not known")


def card_of(order: tuple[str, ...] | None, **roles: str) -> Card:
    form = ThesisGeneratorRecipe(widths=(4,))
    layers = {name: LayerCard(role=role, generator=form, sha256_before="", sha256_after="") for name, role in roles.items()}  # type: ignore[arg-type]
    recipe = ComposerRecipe(fusion=OverFusionRecipe(order=order))
    return Card(kind="composer", role="scene", size_px=8, latent_dims={"all": 1}, composer=recipe, layers=layers)


def test_the_frontmost_and_the_backmost_are_swapped() -> None:
    assert swap_for(card_of(None, fg="fg", bg="bg")) == SwapSpec("fg", "bg", [], [])
    assert swap_for(card_of(None, sky="bg", hills="bg", wood="fg", tree="fg")) == SwapSpec("tree", "sky", ["hills", "wood"], ["wood"])
    assert swap_for(card_of(("tree", "hills", "sky"), sky="bg", hills="bg", tree="fg")) == SwapSpec("sky", "tree", ["hills"], [])
    with pytest.raises(UsageError, match="one layer"):
        swap_for(card_of(None, fg="fg"))


def movable(end: nn.Module, **placement: object) -> LoadedArtifact:
    """Objects with mattes over backgrounds of 8 px, and an end."""
    torch.manual_seed(0)
    forms = {"fg": ThesisGeneratorRecipe(latent_dim=3, widths=(4,), image_channels=4), "bg": ThesisGeneratorRecipe(latent_dim=3, widths=(4,))}
    generators = {name: networks.build_generator(form, 8).eval() for name, form in forms.items()}
    recipe = ComposerRecipe.model_validate(
        {"fusion": {"kind": "alpha"}, "translator": {"kind": "none"}, "placement": {"scale": (0.3, 0.4), **placement}}
    )
    composer = Composer(generators, networks.build_composer(recipe, generators, 8).fusion, end, 8).eval().requires_grad_(False)
    layers = {name: LayerCard(role=name, generator=form, sha256_before="", sha256_after="") for name, form in forms.items()}  # type: ignore[arg-type]
    card = Card(kind="composer", role="scene", size_px=8, latent_dims=composer.latent_dims, composer=recipe, layers=layers)
    return LoadedArtifact(composer, card)


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("scale", [(0.12, 0.2), (0.3, 0.4), (0.9, 1.0)])
def test_the_reference_is_the_matte_as_the_composition_placed_it(scale: tuple[float, float], antialias: bool) -> None:
    made = movable(nn.Identity(), scale=scale, antialias=antialias)
    stages = made.layers(range(40))  # in more than one batch
    assert stages.antialias == made.layers_from_latents(made.latents([0])).antialias == antialias
    placed = (stages.placed["fg"][:, 3] + 1) / 2
    assert np.allclose(layer_swap._placed_matte(stages, "fg", 1, 0.1, BACKDROP), placed.numpy(), atol=1e-6)


def test_a_pasted_layer_that_moves_changes_nothing_else_and_an_end_may() -> None:
    assert change_when_moved(movable(nn.Identity()), scenes=3) == 0

    class Mean(nn.Module):
        """What it does anywhere follows from everywhere."""

        def forward(self, image: Tensor) -> Tensor:
            return image.mean((1, 2, 3), keepdim=True).expand_as(image)

    made = movable(BoundedResidual(Mean(), 0.2))
    z = made.latents([0] * len(PROBE_POSITIONS))
    own = made.layers_from_latents(z).transforms["fg"]
    across, down = torch.tensor(PROBE_POSITIONS).T
    fused = made.layers_from_latents(z, {"fg": LayerTransform(own.scale, across, down, own.flip)}).fused.mean((1, 2, 3))
    pairs = [float((one - other).abs()) for i, one in enumerate(fused) for other in fused[:i]]
    found = change_when_moved(made, scenes=1)
    assert found is not None
    assert min(pairs) * 0.2 * 127.5 <= found <= max(pairs) * 0.2 * 127.5


def test_what_cannot_be_moved_has_no_figure() -> None:
    card = Card(kind="generator", role="fg", size_px=8, latent_dims={"fg": 1})
    assert change_when_moved(LoadedArtifact(Network(), card)) is None
