"""Layers pasted by a key: the object alone, whatever plain colour it stands before."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.compare.paste_baseline import PastedLayers
from mitlgan.compare.paste_results import _matte_note

SIDE = 16
OBJECT = torch.tensor([0.5, -0.3, 0.1]).view(3, 1, 1)


class SquaresOnColour:
    """A composition of squares on one colour, in front of blue."""

    def __init__(self, backdrop: tuple[int, int, int], declared: tuple[int, int, int] | None) -> None:
        made_by = {"made_by": {"data": {"backdrop": list(declared)}}} if declared else {}
        layers = {name: SimpleNamespace(card=made_by, generator=SimpleNamespace(image_channels=3)) for name in ("bg", "fg")}
        self.composer = SimpleNamespace(split=lambda _: {})
        self.card = SimpleNamespace(composer=SimpleNamespace(placement=None), layers=layers, back_to_front=lambda: ("bg", "fg"))
        self.color = torch.tensor(backdrop).view(3, 1, 1) / 127.5 - 1

    def latents(self, seeds: Sequence[int]) -> torch.Tensor:
        return torch.zeros(len(seeds), 1)

    def layers(self, seeds: Sequence[int]) -> Any:
        front = self.color.expand(len(seeds), 3, SIDE, SIDE).clone()
        for row, seed in enumerate(seeds):
            front[row, :, 4 : 8 + seed % 4, 4:12] = OBJECT
        behind = torch.tensor([-1.0, -1.0, 1.0]).view(3, 1, 1).expand(len(seeds), 3, SIDE, SIDE)
        return SimpleNamespace(layers={"bg": behind, "fg": front})


def squares(backdrop: tuple[int, int, int], declared: tuple[int, int, int] | None = None) -> LoadedArtifact:
    return cast("LoadedArtifact", SquaresOnColour(backdrop, declared))


@pytest.mark.parametrize("declared", [None, "its own", (7, 200, 7)])
@pytest.mark.parametrize("backdrop", [(255, 255, 255), (0, 0, 0), (0, 255, 0)])
def test_only_the_object_is_pasted(backdrop: tuple[int, int, int], declared: Any) -> None:
    pasted = PastedLayers(squares(backdrop, backdrop if declared == "its own" else declared), 0.1)
    stages = pasted.layers([0, 3])
    for image, rows in zip(stages.output, (4, 7), strict=True):
        assert torch.allclose(image[:, 4 : 4 + rows, 4:12], OBJECT.expand(3, rows, 8), atol=1e-6)
        assert torch.equal(image[:, :4], torch.tensor([-1.0, -1.0, 1.0]).view(3, 1, 1).expand(3, 4, SIDE))
    assert stages.matte is not None
    assert stages.matte.flatten(1).sum(1).tolist() == [32, 56]
    note = _matte_note(pasted.composed.card, ["fg"], [pasted], "validation")
    assert note.startswith("The foreground's matte is what differs from the backdrop by more than 13 of 255")
    assert "no plain backdrop" not in note


def test_layers_before_nothing_plain_are_said_to_have_no_key() -> None:
    noisy = SquaresOnColour((0, 0, 0), None)
    noise = torch.rand(64, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    noisy.layers = lambda seeds: SimpleNamespace(layers={"bg": noise[: len(seeds)], "fg": noise[: len(seeds)]})  # type: ignore[method-assign]
    note = _matte_note(cast("Any", noisy.card), ["fg"], [PastedLayers(cast("LoadedArtifact", noisy), 0.1)], "validation")
    assert "no plain backdrop: 0% of its border has that colour" in note
