"""Several objects in one picture: each stands where its own latent puts it, and stays there while it is held."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient

import mitlgan
from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.latents import interpolate_latents, latents_from_seeds
from mitlgan.networks.placement import PLACEMENT_DIM
from mitlgan.recipe import shipped_folder
from mitlgan.studio import StudioSettings, create_app

ADDRESS = "http://127.0.0.1:8765"
THREE = shipped_folder("pretrained") / "three-32"
FAR, NEAR = slice(0, PLACEMENT_DIM), slice(PLACEMENT_DIM, 2 * PLACEMENT_DIM)
Latents = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with TestClient(create_app(StudioSettings(artifacts=(THREE,), runs=Path(tmp_path_factory.mktemp("runs")))), base_url=ADDRESS) as client:
        yield client


@pytest.fixture(scope="module")
def three() -> LoadedArtifact:
    return mitlgan.load(THREE)


@pytest.fixture(scope="module")
def artifact(client: TestClient) -> str:
    return str(client.get("/api/artifacts").json()[0]["id"])


def drawn(latent: dict[str, Any]) -> torch.Tensor:
    """The whole placement that a latent makes, (8,)."""
    if "mix" in latent:
        first, second, share = latent["mix"]
        return interpolate_latents(drawn(first), drawn(second), {"place": [share]}, {"place": 2 * PLACEMENT_DIM})[0]
    return torch.tensor(latent["values"]) if "values" in latent else latents_from_seeds({"place": [latent["seed"]]}, {"place": 2 * PLACEMENT_DIM})[0]


def grid(client: TestClient, artifact: str, latents: Latents, **vary: list[int]) -> list[torch.Tensor]:
    asked = {"state": {"artifact": artifact, "latents": latents}, "vary": vary}
    return [drawn(each["state"]["latents"]["place"]) for each in client.post("/api/grid", json=asked).json()["pictures"]]


def test_objects_of_several_latents_stand_where_each_puts_them(client: TestClient, artifact: str, three: LoadedArtifact) -> None:
    mix = {"mix": [{"seed": 1}, {"seed": 2}, 0.4]}
    values = {"values": [0.25] * three.card.latent_dims["near"]}
    for far, near, places in (({"seed": 7}, {"seed": 4}, ({"seed": 7}, {"seed": 4})), (mix, {"seed": 4}, (mix, {"seed": 4})),
                              ({"seed": 7}, values, ({"seed": 7}, {"seed": 0})), ({}, {"seed": 4}, ({"seed": 0}, {"seed": 4}))):  # fmt: skip
        latents = {name: latent for name, latent in (("far", far), ("near", near), ("bg", {"seed": 3})) if latent}
        answer = client.post("/api/picture", json={"state": {"artifact": artifact, "latents": latents}, "want": ["output"]}).json()
        place = drawn(answer["state"]["latents"]["place"])
        assert torch.equal(place[FAR], drawn(places[0])[FAR])
        assert torch.equal(place[NEAR], drawn(places[1])[NEAR])
        again = client.post("/api/picture", json={"state": answer["state"], "want": ["output"]}).json()
        assert again["output"] == answer["output"]  # named, it is the same picture


def test_a_state_is_the_picture_that_python_makes(client: TestClient, artifact: str, three: LoadedArtifact) -> None:
    latents = {"bg": {"seed": 3}, "far": {"seed": 7}, "near": {"seed": 4}}
    place = drawn(client.post("/api/picture", json={"state": {"artifact": artifact, "latents": latents}}).json()["state"]["latents"]["place"])
    assert torch.equal(place, three.latents({"bg": [3], "far": [7], "near": [4]})[0, -2 * PLACEMENT_DIM :])
    equal = {"artifact": artifact, "latents": {name: {"seed": 5} for name in latents}}
    same = client.post("/api/picture", json={"state": equal}).json()["state"]
    assert same["latents"]["place"] == {"seed": 5}  # as ever, where the seeds agree


@pytest.mark.parametrize("own", [None, {"seed": 9}, {"values": [0.5] * 8}, {"mix": [{"seed": 1}, {"seed": 2}, 0.3]}])
def test_an_object_that_does_not_vary_keeps_its_place(client: TestClient, artifact: str, own: dict[str, Any] | None) -> None:
    """Where the others' places vary with them; whether or not the state names where it is."""
    latents: Latents = {"bg": {"seed": 3}, "far": {"seed": 7}, "near": {"seed": 4}} | ({"place": own} if own else {})
    for still, moving, free, seed in ((FAR, NEAR, "near", 7), (NEAR, FAR, "far", 4)):
        for number, place in zip((5, 6), grid(client, artifact, latents, bg=[5, 6], place=[5, 6], **{free: [5, 6]}), strict=True):
            assert torch.equal(place[still], drawn(own or {"seed": seed})[still])
            assert torch.equal(place[moving], drawn({"seed": number})[moving])


@pytest.mark.parametrize("vary", [{"place": [5]}, {"bg": [5], "place": [5]}, {"bg": [5], "far": [5], "near": [5], "place": [5]}])
def test_places_vary_for_all_where_no_object_does_or_all_do(client: TestClient, artifact: str, vary: dict[str, list[int]]) -> None:
    latents: Latents = {"bg": {"seed": 3}, "far": {"seed": 7}, "near": {"seed": 4}}
    assert torch.equal(grid(client, artifact, latents, **vary)[0], drawn({"seed": 5}))
    crossed = {"state": {"artifact": artifact, "latents": latents}, "vary": {"place": [5], "far": [6]}, "rows": "place", "columns": "far"}
    assert client.post("/api/grid", json=crossed).json()["pictures"][0]["state"]["latents"]["place"] == {"seed": 5}  # rows are one place each
