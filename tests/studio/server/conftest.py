"""The server on artifacts of 8 px: two generators, the thesis' composition, and one by mattes that places, harmonises and corrects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient

from mitlgan import networks
from mitlgan.artifacts.card import LayerCard, make_card
from mitlgan.artifacts.load_save import save_network
from mitlgan.recipe import ComposerRecipe, Recipe, ThesisGeneratorRecipe
from mitlgan.studio import StudioSettings, create_app

ADDRESS = "http://127.0.0.1:8765"


@pytest.fixture(scope="session")
def matted(tmp_path_factory: pytest.TempPathFactory, compose_recipe: Recipe) -> Path:
    """A composition by the foreground's own matte, with a place, harmonising and a correcting translator, none of them untrained."""
    torch.manual_seed(3)
    layers, cards = {}, {}
    for name, channels, dim in (("fg", 4, 16), ("bg", 3, 12)):
        form = ThesisGeneratorRecipe(latent_dim=dim, widths=(6,), image_channels=channels, last_norm=False)
        layers[name] = networks.build_generator(form, 8)
        layers[name](torch.randn(64, dim))
        cards[name] = LayerCard(role=name, generator=form, sha256_before="0", sha256_after="0")
    recipe = ComposerRecipe.model_validate(
        {
            "fusion": {"kind": "alpha", "harmonise": True},
            "translator": {"kind": "light", "width": 4, "blocks": 1, "activation": "residual"},
            "placement": {},
        }
    )
    composer = networks.build_composer(recipe, layers, 8)
    for parameter in composer.trainable_parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    path = tmp_path_factory.mktemp("matted") / "matted" / "composer.safetensors"
    path.parent.mkdir()
    save_network(path, composer.eval(), make_card(composer, compose_recipe.model_copy(update={"composer": recipe}), layers=cards))
    return path


@pytest.fixture(scope="session")
def settings(artifacts: dict[str, Path], matted: Path, tmp_path_factory: pytest.TempPathFactory) -> StudioSettings:
    return StudioSettings(artifacts=(*artifacts.values(), matted), runs=tmp_path_factory.mktemp("runs"), orphan_timeout_s=5)


@pytest.fixture(scope="module")
def client(settings: StudioSettings) -> Iterator[TestClient]:
    """Of a studio that runs."""
    with TestClient(create_app(settings), base_url=ADDRESS) as client:
        yield client


@pytest.fixture(scope="module")
def ids(client: TestClient) -> dict[str, str]:
    """Ids of the artifacts, by the folder's name."""
    return {found["name"]: found["id"] for found in client.get("/api/artifacts").json()}


Shown = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def shown(client: TestClient) -> Shown:
    """Asks for every stage of a state's picture."""

    def ask(state: dict[str, Any]) -> dict[str, Any]:
        done = client.post("/api/picture", json={"state": state, "want": ["output", "layers", "matte", "fused"]})
        assert done.status_code == 200, done.text
        found: dict[str, Any] = done.json()
        return found

    return ask
