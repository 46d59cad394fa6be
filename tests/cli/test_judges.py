"""The scores of fills and embeddings: an extractor cannot judge what a critic taught that looked through its network."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from helpers.commands import Command

from mitlgan.artifacts.load_save import load_network, save_network
from mitlgan.recipe import as_dict, parse_recipe, with_overrides


@pytest.mark.parametrize(
    "words", [("evaluate", "{}"), ("embed-score", "{}"), ("inpaint-score", "--method", "mean", "--embed", "{}")], ids=lambda words: words[0]
)
def test_it_is_refused_in_one_line_before_pictures_are_read(command: Command, artifacts: dict[str, Path], folder: Path, words: Any) -> None:
    path = Path(shutil.copytree(artifacts["fg"].parent, folder / "layer")) / "generator.safetensors"
    network, card = load_network(path)
    recipe = with_overrides(
        parse_recipe(card.recipe, "card"),
        critic={"kind": "projected", "network": "efficientnet-lite0", "normalisation": "none"},
        evaluation__extractor="mobilenet-v2",
    )
    save_network(path, network, card.model_copy(update={"recipe": as_dict(recipe)}))
    done = command(*(word.format(path) for word in words), "--data", str(folder / "none"), "--extractor", "efficientnet-lite0")
    assert done.code == 2
    assert done.err.splitlines()[-1].endswith("taught; name another, such as --extractor mobilenet-v2")
    assert "--extractor efficientnet-lite0: cannot judge, because a critic looked through this network" in done.err
