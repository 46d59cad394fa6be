"""Generate and Morph: what is locked stays, what is downloaded is what was shown, and a link makes it again."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from helpers.studio_requests import asked, read
from PIL import Image

import mitlgan
from mitlgan.artifacts.sample_files import write_sample_files
from mitlgan.artifacts.samples import Samples
from mitlgan.editing import directions
from mitlgan.images import animation
from mitlgan.images.pixels import to_uint8
from mitlgan.networks import CompositionStages
from mitlgan.studio import StudioSettings, create_app, encoding, schemas
from mitlgan.studio.routes import page

State = dict[str, Any]


def test_artifacts_say_what_can_be_done_with_them(client: TestClient) -> None:
    found = {one["name"]: one for one in client.get("/api/artifacts").json()}
    assert list(found)[:2] == ["scene", "matted"]  # compositions first
    matted, thesis, fg = found["matted"], found["scene"], found["fg"]
    assert (matted["kind"], matted["layers"], matted["movable"], matted["front"]) == ("composer", ["bg", "fg"], ["fg"], "fg")
    assert (matted["has_matte"], matted["has_place"], matted["harmonises"], matted["transparent"]) == (True, True, True, ["fg"])
    assert matted["latents"] == {"fg": 16, "bg": 12, "place": 4}
    assert matted["directions"] == {"fg": 8, "bg": 8}
    assert (thesis["has_matte"], thesis["movable"], thesis["harmonises"], thesis["transparent"]) == (False, [], False, [])
    assert (fg["kind"], fg["front"], fg["layers"], fg["size_px"], fg["directions"]) == ("generator", None, ["fg"], 8, {"fg": 3})
    assert fg["card"]["licence"] == "CC0"


def test_a_picture_is_the_artifacts(shown: Any, ids: dict[str, str], artifacts: dict[str, Path]) -> None:
    stages = mitlgan.load(artifacts["scene"]).layers({"fg": [5], "bg": [9]})
    found = shown({"artifact": ids["scene"], "latents": {"fg": {"seed": 5}, "bg": {"seed": 9}}})
    for image, picture in ((stages.output, found["output"]), (stages.fused, found["fused"]), (stages.layers["bg"], found["layers"]["bg"])):
        expected = to_uint8(image)[0].permute(1, 2, 0).numpy().astype(int)
        assert np.abs(read(picture).astype(int) - expected).max() <= 1  # in a batch of another size a rounding may differ
    assert found["matte"] is None


def test_a_locked_layer_stays_while_the_other_is_rerolled(shown: Any, ids: dict[str, str]) -> None:
    first = shown({"artifact": ids["matted"], "latents": {"fg": {"seed": 1}, "bg": {"seed": 1}}})
    second = shown({"artifact": ids["matted"], "latents": {"fg": {"seed": 1}, "bg": {"seed": 2}}})
    third = shown({"artifact": ids["matted"], "latents": {"fg": {"seed": 2}, "bg": {"seed": 1}}})
    assert first["layers"]["fg"] == second["layers"]["fg"]
    assert first["layers"]["bg"] == third["layers"]["bg"]
    assert first["matte"] == second["matte"]  # the place goes with the foreground
    assert len({first["output"], second["output"], third["output"]}) == 3
    assert len({first["layers"]["bg"], second["layers"]["bg"]}) == 2


def test_a_link_makes_the_picture_again(client: TestClient, shown: Any, ids: dict[str, str]) -> None:
    state = {"artifact": ids["matted"], "latents": {"fg": {"seed": 2**63 - 1}}, "truncation": 0.7, "directions": {"bg": [1.5, -2]}, "harmonise": False}
    first = shown({**state, "stand": {"scale": 0.5, "across": 0.25, "down": -0.5, "flip": True}, "matte_strength": 0.75})
    linked = json.loads(unquote(first["link"].removeprefix("#s=")))
    again = shown(linked)
    assert all(again[part] == first[part] for part in first if part != "state")
    assert first["state"]["latents"] == {"fg": {"seed": 2**63 - 1}, "bg": {"seed": 0}, "place": {"seed": 2**63 - 1}}
    assert [(name, list(latent)) for name, latent in linked["latents"].items()] == [("fg", ["values"]), ("bg", ["seed"]), ("place", ["values"])]
    assert first["state"]["harmonise"] == 0


@pytest.mark.parametrize("front", [{"seed": 2**53}, {"mix": [{"seed": 1}, {"mix": [{"seed": 2**62}, {"seed": 3}, 0.5]}, 0.4]}, {"seed": 2**53 - 1}])
def test_a_link_holds_no_seed_that_a_browser_would_round(shown: Any, ids: dict[str, str], front: dict[str, Any]) -> None:
    """A browser's numbers are doubles: 2^53 + 1 comes back as 2^53."""
    first = shown({"artifact": ids["matted"], "latents": {"fg": front, "bg": {"seed": 4}}, "truncation": 0.7})
    linked = json.loads(unquote(first["link"].removeprefix("#s=")), parse_int=lambda digits: int(float(digits)))
    assert linked["latents"]["bg"] == {"seed": 4}
    assert ("values" in linked["latents"]["fg"]) == (front != {"seed": 2**53 - 1})
    assert [shown(linked)[part] for part in ("output", "layers", "matte", "stand")] == [first[part] for part in ("output", "layers", "matte", "stand")]


def test_what_is_downloaded_is_what_was_shown(client: TestClient, shown: Any, ids: dict[str, str]) -> None:
    state = {"artifact": ids["matted"], "latents": {"fg": {"seed": 4}}, "stand": {"scale": 0.8, "across": 0.1}}
    found = shown(state)
    given = {"output": found["output"], "fused": found["fused"], "matte": found["matte"], "layer:fg": found["layers"]["fg"]}
    for what, picture in given.items():
        file = client.get("/api/picture.png", params=asked(state, what=what))
        assert file.headers["content-type"] == "image/png"
        assert np.array_equal(read(file.content), read(picture))
    archive = zipfile.ZipFile(io.BytesIO(client.get("/api/layers.zip", params=asked(state)).content))
    names = {"output.png", "fused.png", "matte.png", "layer-fg.png", "layer-bg.png", "transparent-fg.png", "state.json"}
    assert set(archive.namelist()) == names
    assert np.array_equal(read(archive.read("output.png")), read(found["output"]))
    assert json.loads(archive.read("state.json")) == found["state"]


def test_the_zip_has_every_picture_that_the_command_writes(tmp_path: Path) -> None:
    """Of three layers, the matte of each one in front, too."""
    drawn = torch.Generator().manual_seed(0)

    def image(channels: int) -> torch.Tensor:
        return torch.rand((1, channels, 8, 8), generator=drawn) * 2 - 1

    front = {name: torch.cat([image(3).minimum(alpha), alpha], dim=1) for name, alpha in (("far", image(1)), ("near", image(1)))}
    stages = CompositionStages({"bg": image(3), **front}, image(3), (image(1) + 1) / 2, image(3), placed=front)
    files = write_sample_files([Samples(["1"], stages, [])], 1, tmp_path / "out", every_layer=True)
    archive = zipfile.ZipFile(io.BytesIO(encoding.stages_zip(stages, schemas.State(artifact="x"))))
    zipped = {read(archive.read(name)).tobytes() for name in archive.namelist() if name.endswith(".png")}
    written = {name: read((folder / "1.png").read_bytes()).tobytes() for name, folder in files.stages.items()}
    assert {"far-matte", "near-matte", "far-placed", "near-placed", "matte", "fused", "bg", "far", "near"} == set(written)
    assert [name for name, pixels in written.items() if pixels not in zipped] == []
    assert {"matte-far.png", "matte-near.png"} <= set(archive.namelist())


def test_a_transparent_layer_over_the_background_is_the_fused_picture(client: TestClient, shown: Any, ids: dict[str, str]) -> None:
    state = {"artifact": ids["matted"], "latents": {"fg": {"seed": 4}}, "matte_strength": 0.6}
    found = shown(state)
    front = read(client.get("/api/picture.png", params=asked(state, what="transparent:fg")).content).astype(float)
    assert front.shape == (8, 8, 4)
    alpha = front[..., 3:] / 255
    laid = front[..., :3] * alpha + read(found["layers"]["bg"]) * (1 - alpha)
    assert np.abs(laid - read(found["fused"])).max() <= 2
    assert np.abs(front[..., 3] - read(found["matte"])).max() <= 1


def test_strengths_weaken_the_matte_and_the_correction(shown: Any, ids: dict[str, str]) -> None:
    state = {"artifact": ids["matted"], "latents": {"fg": {"seed": 4}}}
    whole, half, none = (shown({**state, "matte_strength": strength}) for strength in (1, 0.5, 0))
    assert np.abs(read(half["matte"]).astype(int) - read(whole["matte"]) / 2).max() <= 1
    assert read(none["matte"]).max() == 0
    assert read(whole["matte"]).max() > 50
    assert np.array_equal(read(none["fused"]), read(none["layers"]["bg"]))
    bare = shown({**state, "harmonise": 0})
    assert np.array_equal(read(bare["output"]), read(bare["fused"]))  # the translator corrects nothing
    assert not np.array_equal(read(whole["output"]), read(whole["fused"]))
    assert not np.array_equal(read(whole["fused"]), read(bare["fused"]))  # nor do colours follow the background
    assert shown({**state, "harmonise": True})["output"] == whole["output"]


def test_the_foreground_moves_and_nothing_else(shown: Any, ids: dict[str, str]) -> None:
    state = {"artifact": ids["matted"], "latents": {"fg": {"seed": 4}}, "harmonise": 0}
    left, right = (shown({**state, "stand": {"scale": 0.5, "across": across}}) for across in (-0.5, 0.5))
    mattes = [read(found["matte"]).astype(int) for found in (left, right)]
    assert np.abs(mattes[0][:, :4] - mattes[1][:, 4:]).max() <= 1
    assert mattes[0][:, 4:].max() == 0
    outside = (mattes[0] + mattes[1]) == 0
    assert np.array_equal(read(left["output"])[outside], read(right["output"])[outside])
    assert left["layers"] == right["layers"]
    flipped = shown({**state, "stand": {"scale": 1.0, "flip": True}})
    straight = shown({**state, "stand": {"scale": 1.0}})
    assert np.abs(read(flipped["matte"])[:, ::-1].astype(int) - read(straight["matte"])).max() <= 1
    assert straight["stand"] == {"scale": 1.0, "across": 0.0, "down": 0.0, "flip": False}


def test_directions_are_added_to_the_latent(shown: Any, ids: dict[str, str], artifacts: dict[str, Path]) -> None:
    loaded = mitlgan.load(artifacts["fg"])
    found = directions(loaded, count=3)
    z = loaded.latents([6]) + torch.tensor([[2.0, 0.0, -1.0]]) @ found.vectors
    picture = shown({"artifact": ids["fg"], "latents": {"fg": {"seed": 6}}, "directions": {"fg": [2, 0, -1]}})["output"]
    assert np.abs(read(picture).astype(int) - to_uint8(loaded.images_from_latents(z))[0].permute(1, 2, 0).numpy()).max() <= 1


def test_mixtures_have_their_parents_as_ends(shown: Any, ids: dict[str, str]) -> None:
    def mixed(share: float) -> str:
        latent = {"mix": [{"seed": 1}, {"seed": 2}, share]}
        return str(shown({"artifact": ids["matted"], "latents": {"fg": latent}})["output"])

    parents = [shown({"artifact": ids["matted"], "latents": {"fg": {"seed": seed}}})["output"] for seed in (1, 2)]
    assert [mixed(0), mixed(1)] == parents  # and so is the place
    assert mixed(0.5) not in parents


def test_a_grid_holds_and_crosses(client: TestClient, shown: Any, ids: dict[str, str]) -> None:
    base = {"artifact": ids["matted"], "latents": {"bg": {"seed": 3}}}
    varied = client.post("/api/grid", json={"state": base, "vary": {"fg": [1, 2, 3, 4, 5]}}).json()["pictures"]
    assert [one["state"]["latents"] for one in varied] == [
        {"fg": {"seed": seed}, "bg": {"seed": 3}, "place": {"seed": seed}}
        for seed in (1, 2, 3, 4, 5)  # the place goes with the foreground
    ]
    assert [shown(one["state"])["output"] for one in varied] == [one["output"] for one in varied]
    crossed = client.post("/api/grid", json={"state": base, "vary": {"fg": [1, 2], "bg": [3, 4, 5]}, "rows": "fg", "columns": "bg"}).json()["pictures"]
    pairs = [(one["state"]["latents"]["fg"]["seed"], one["state"]["latents"]["bg"]["seed"]) for one in crossed]
    assert pairs == [(1, 3), (1, 4), (1, 5), (2, 3), (2, 4), (2, 5)]
    assert crossed[0]["output"] == varied[0]["output"]


@pytest.mark.parametrize("easing", ["sine", "linear", "slerp"])
def test_a_morph_ends_in_the_two_pictures(client: TestClient, shown: Any, ids: dict[str, str], easing: str) -> None:
    start = {"artifact": ids["matted"], "latents": {"fg": {"seed": 1}, "bg": {"seed": 1}}, "truncation": 0.8}
    end = {"artifact": ids["matted"], "latents": {"fg": {"seed": 2}, "bg": {"seed": 2}}, "stand": {"scale": 0.5, "flip": True}, "matte_strength": 0.5}
    frames = client.post("/api/morph", json={"from": start, "to": end, "easing": easing, "frames": 7}).json()["frames"]
    assert len(set(frames)) == 7
    assert (frames[0], frames[-1]) == (shown(start)["output"], shown(end)["output"])


def test_a_morph_of_one_layer_holds_the_other(client: TestClient, shown: Any, ids: dict[str, str]) -> None:
    start = {"artifact": ids["matted"], "latents": {"fg": {"seed": 1}, "bg": {"seed": 1}}}
    end = {"artifact": ids["matted"], "latents": {"fg": {"seed": 2}, "bg": {"seed": 2}}}
    frames = client.post("/api/morph", json={"from": start, "to": end, "layer": "bg", "frames": 3}).json()["frames"]
    crossed = {"artifact": ids["matted"], "latents": {"fg": {"seed": 1}, "bg": {"seed": 2}}}
    assert (frames[0], frames[-1]) == (shown(start)["output"], shown(crossed)["output"])


def test_a_morphs_files_have_its_frames(client: TestClient, ids: dict[str, str]) -> None:
    ends = {"from": {"artifact": ids["fg"], "latents": {"fg": {"seed": 1}}}, "to": {"artifact": ids["fg"], "latents": {"fg": {"seed": 2}}}, "frames": 5}
    frames = [read(frame) for frame in client.post("/api/morph", json=ends).json()["frames"]]
    for form in ("gif", "webp"):
        file = client.post(f"/api/morph.{form}", json={**ends, "fps": 10, "scale": 3})
        assert file.headers["content-type"] == f"image/{form}"
        moving: Any = Image.open(io.BytesIO(file.content))
        assert moving.n_frames == 5
        for index, frame in enumerate(frames):
            moving.seek(index)
            pixels = np.asarray(moving.convert("RGB")).astype(int)
            assert pixels.shape == (24, 24, 3)
            assert np.abs(pixels[::3, ::3] - frame).max() <= (16 if form == "gif" else 0)  # 8 x 8 x 5 pixels in 256 colours
    assert client.post("/api/morph.gif", json={**ends, "fps": 10, "there_and_back": True, "scale": 1}).status_code == 200


REFUSED = [
    ("/api/picture", {"state": {"artifact": "scene", "stand": {"scale": 1}}}, "stand: nothing can be moved"),
    ("/api/picture", {"state": {"artifact": "scene", "matte_strength": 0.5}}, "matte_strength: this artifact has no matte"),
    ("/api/picture", {"state": {"artifact": "fg", "harmonise": False}}, "harmonise: this artifact cannot"),
    (
        "/api/picture",
        {"state": {"artifact": "fg", "latents": {"bg": {"seed": 1}}}},
        "latents: this artifact has no latent of that name",
    ),
    ("/api/picture", {"state": {"artifact": "fg", "latents": {"fg": {"values": [1, 2]}}}}, "latents.fg.values: has 2 numbers; this artifact takes 3"),
    ("/api/picture", {"state": {"artifact": "fg", "directions": {"fg": [1] * 9}}}, "directions.fg: this artifact has 3"),
    ("/api/picture", {"state": {"artifact": "matted", "directions": {"place": [1]}}}, "directions.place: this artifact has 0"),
    ("/api/grid", {"state": {"artifact": "scene"}, "vary": {"fg": [1, 2], "bg": [1]}}, "vary: every latent needs as many"),
    (
        "/api/grid",
        {"state": {"artifact": "scene"}, "vary": {"fg": [1] * 9, "bg": [1] * 9}, "rows": "fg", "columns": "bg"},
        "vary: 81 pictures",
    ),
    ("/api/grid", {"state": {"artifact": "scene"}, "vary": {"fg": [1]}, "rows": "fg"}, "rows, columns: name two"),
    ("/api/morph", {"from": {"artifact": "scene"}, "to": {"artifact": "fg"}}, "to: is another artifact's"),
    ("/api/morph", {"from": {"artifact": "fg"}, "to": {"artifact": "fg"}, "layer": "bg"}, "layer: this artifact has no latent"),
]


def _with_ids(given: Any, ids: dict[str, str]) -> Any:
    if isinstance(given, dict):
        return {key: ids[value] if key == "artifact" else _with_ids(value, ids) for key, value in given.items()}
    return given


@pytest.mark.parametrize(("path", "body", "line"), REFUSED)
def test_what_an_artifact_has_not_is_refused_in_one_line(client: TestClient, ids: dict[str, str], path: str, body: Any, line: str) -> None:
    done = client.post(path, json=_with_ids(body, ids))
    assert done.status_code == 422
    assert done.json()["error"].startswith(line)
    assert "\n" not in done.json()["error"]


def test_unknown_things_are_not_found(client: TestClient, ids: dict[str, str]) -> None:
    assert client.post("/api/picture", json={"state": {"artifact": "none"}}).status_code == 404
    assert client.get("/api/nothing").status_code == 404
    assert client.get("/static/../app.py").status_code == 404
    assert client.get("/static/%2e%2e/app.py").status_code == 404
    wrong = client.get("/api/picture.png", params=asked({"artifact": ids["scene"]}, what="transparent:fg"))
    assert (wrong.status_code, wrong.json()["error"][:5]) == (422, "what:")


def test_the_page_and_its_files_are_served(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "<script>" not in page.text  # which the policy would forbid


def test_children_are_between_their_parents_in_every_layer(client: TestClient, shown: Any, ids: dict[str, str]) -> None:
    parents = [{"artifact": ids["matted"], "latents": {name: {"seed": seed} for name in ("fg", "bg")}} for seed in (1, 2)]
    done = client.post("/api/children", json={"parents": parents, "seeds": [5, 6, 5]}).json()["pictures"]
    assert done[0] == done[2] != done[1]
    for child in done[:2]:
        for name in ("fg", "bg", "place"):
            first, second, share = child["state"]["latents"][name]["mix"]
            assert (first, second) == ({"seed": 1}, {"seed": 2})
            assert 0.15 <= share <= 0.85
        assert shown(child["state"])["output"] == child["output"]
    # Of parents that were edited, and after many generations, latents are numbers; what was done to both is mixed as well.
    edited = [
        {**parents[0], "directions": {"fg": [2.0]}, "stand": {"scale": 1.0}, "matte_strength": 1.0},
        {**parents[1], "truncation": 0.5, "stand": {"scale": 0.5}, "matte_strength": 0.5},
    ]
    (child,) = client.post("/api/children", json={"parents": edited, "seeds": [5]}).json()["pictures"]
    assert set(child["state"]["latents"]["fg"]) == {"values"}
    assert "directions" not in child["state"]
    assert 0.5 < child["state"]["stand"]["scale"] < 1
    assert 0.5 < child["state"]["matte_strength"] < 1
    state = parents[0]
    for _ in range(6):
        (grand,) = client.post("/api/children", json={"parents": [state, parents[1]], "seeds": [7]}).json()["pictures"]
        state = grand["state"]
    assert set(state["latents"]["fg"]) == {"values"} or "mix" in state["latents"]["fg"]
    other = {"artifact": ids["scene"]}
    assert client.post("/api/children", json={"parents": [parents[0], other], "seeds": [1]}).status_code == 422


FRONTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "seed": ({"seed": 8}, {"seed": 8}),
    "values": ({"values": [0.25] * 16}, {"seed": 0}),
    "mix": ({"mix": [{"seed": 1}, {"values": [0.5] * 16}, 0.4]}, {"mix": [{"seed": 1}, {"seed": 0}, 0.4]}),
    "deep": ({"mix": [{"seed": 1}, {"mix": [{"seed": 2}, {"mix": [{"seed": 3}, {"mix": [{"seed": 4}, {"seed": 5}, 0.5]}, 0.5]}, 0.5]}, 0.5]},) * 2,
    "absent": ({}, {"seed": 0}),
}
"""Foregrounds, and the place that follows each."""


def _written(ids: dict[str, str], form: str) -> tuple[State, State]:
    """A state without a place, and the same picture's with one."""
    front, place = FRONTS[form]
    state = {"artifact": ids["matted"], "latents": {**({"fg": front} if front else {}), "bg": {"seed": 3}}}
    return state, {**state, "latents": {**state["latents"], "place": place}}


@pytest.mark.parametrize("form", FRONTS)
def test_every_state_that_is_answered_says_where_the_object_stands(client: TestClient, shown: Any, ids: dict[str, str], form: str) -> None:
    """So that it stays there when the object becomes another one."""
    state, named = _written(ids, form)
    picture = shown(state)
    archive = zipfile.ZipFile(io.BytesIO(client.get("/api/layers.zip", params=asked(state)).content))
    ends = {"from": state, "to": {"artifact": ids["matted"]}, "index": 0}
    answered = {
        "picture": picture["state"],
        "link": json.loads(unquote(picture["link"].removeprefix("#s="))),
        "grid": client.post("/api/grid", json={"state": state, "vary": {"bg": [3]}}).json()["pictures"][0]["state"],
        "zip": json.loads(archive.read("state.json")),
        "frame": client.post("/api/morph/frame", json=ends).json()["state"],
    }
    for name, each in answered.items():
        assert each["latents"] == {"fg": {"seed": 0}, **named["latents"]}, name
    assert {**shown(named), "state": picture["state"]} == picture
    rerolled = client.post("/api/grid", json={"state": picture["state"], "vary": {"fg": [1, 2], "bg": [1, 2]}}).json()["pictures"]
    assert [shown(one["state"])["stand"] for one in rerolled] == [picture["stand"]] * 2


@pytest.mark.parametrize(("form", "other"), [("seed", "values"), ("mix", "seed"), ("deep", "seed"), ("values", "mix"), ("absent", "seed")])
def test_children_are_those_of_the_same_parents_with_their_places_named(client: TestClient, ids: dict[str, str], form: str, other: str) -> None:
    """Of two parents without a place, of one, and of none; also after edits, which make numbers of all latents."""
    for edits in ({}, {"directions": {"fg": [1.0]}}):
        answers = [
            client.post("/api/children", json={"parents": [{**first, **edits}, second], "seeds": [5]}).json()["pictures"]
            for first in _written(ids, form)
            for second in _written(ids, other)
        ]
        assert answers[1:] == answers[:1] * 3
        (child,) = answers[0]
        assert set(child["state"]["latents"]) == {"fg", "bg", "place"}
        if not edits and form != "deep":
            assert child["state"]["latents"]["place"]["mix"][:2] == [FRONTS[form][1], FRONTS[other][1]]


@pytest.mark.parametrize("layer", ["all", "bg"])
def test_any_frame_of_a_morph_is_a_picture_that_can_be_edited(client: TestClient, shown: Any, ids: dict[str, str], layer: str) -> None:
    start = {"artifact": ids["matted"], "latents": {"fg": {"seed": 1}, "bg": {"seed": 1}}, "truncation": 0.8, "directions": {"bg": [1.0]}}
    end = {"artifact": ids["matted"], "latents": {"fg": {"seed": 2}, "bg": {"seed": 3}}, "stand": {"scale": 0.5, "across": 0.5}, "matte_strength": 0.5}
    asked = {"from": start, "to": end, "frames": 5, "layer": layer}
    frames = client.post("/api/morph", json=asked).json()["frames"]
    for index in range(5):
        state = client.post("/api/morph/frame", json={**asked, "index": index}).json()["state"]
        assert shown(state)["output"] == frames[index]
    assert client.post("/api/morph/frame", json={**asked, "index": 5}).status_code == 422


def test_a_morph_becomes_a_video_where_pyav_is_installed(client: TestClient, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    state = {"artifact": ids["bg"]}
    asked = {"from": state, "to": {**state, "latents": {"bg": {"seed": 1}}}, "frames": 3, "fps": 10}
    found = client.post("/api/morph.mp4", json=asked)
    assert (found.status_code, found.headers["content-type"], found.content[4:8]) == (200, "video/mp4", b"ftyp")
    assert client.get("/api/studio").json()["video"] is True
    for module in (animation, page):
        monkeypatch.setattr(module, "find_spec", lambda _: None)
    assert client.get("/api/studio").json()["video"] is False
    refused = client.post("/api/morph.mp4", json=asked)
    assert (refused.status_code, "mitlgan[video]" in refused.json()["error"]) == (422, True)


def test_directions_show_what_they_change_and_can_be_named(client: TestClient, shown: Any, ids: dict[str, str], settings: StudioSettings) -> None:
    found = client.get("/api/directions", params={"artifact": ids["matted"]}).json()
    assert {latent: len(rows) for latent, rows in found.items()} == {"fg": 8, "bg": 8}
    far = shown({"artifact": ids["matted"], "directions": {"bg": [0, 3]}})["layers"]["bg"]
    assert found["bg"][1]["high"] == far
    assert found["bg"][1]["low"] != far
    assert {row["name"] for rows in found.values() for row in rows} == {""}
    for name, status in (("Sky ☀", 204), ("x" * 41, 422), ("two\nlines", 422), ("‮", 422)):
        asked = {"artifact": ids["matted"], "latent": "bg", "index": 1, "name": name}
        assert client.post("/api/directions/name", json=asked).status_code == status
    for change, status in (({"index": 8}, 422), ({"latent": "place"}, 422), ({"artifact": "../x"}, 404)):
        asked = {"artifact": ids["matted"], "latent": "bg", "index": 1, "name": "x", **change}
        assert client.post("/api/directions/name", json=asked).status_code == status
    with TestClient(create_app(settings), base_url="http://127.0.0.1:8765") as again:  # after the studio has been started again
        names = [row["name"] for row in again.get("/api/directions", params={"artifact": ids["matted"]}).json()["bg"]]
    assert names == ["", "Sky ☀", "", "", "", "", "", ""]
    (settings.runs / "direction-names.json").write_text('{"' + ids["matted"] + '": {"bg": [1, {}, "ok"], "fg": 3}, "other": {"fg": ["stays"]}}')
    assert [row["name"] for row in client.get("/api/directions", params={"artifact": ids["matted"]}).json()["bg"]][:3] == ["", "", "ok"]
    asked = {"artifact": ids["matted"], "latent": "bg", "index": 0, "name": "x"}
    assert client.post("/api/directions/name", json=asked).status_code == 204
    whole = (settings.runs / "direction-names.json").read_text()
    assert json.loads(whole) == {"other": {"fg": ["stays"]}, ids["matted"]: {"bg": ["x", {}, "ok", *[""] * 5], "fg": 3}}
    for damaged in (
        whole[:-9],
        "[]",
        "",
        "[" * 100_000,
        f'{{"{ids["matted"]}": 3, "other": {{}}}}',
        whole.replace("3", '"a"'),
        whole.replace("{}", "NaN"),
    ):
        (settings.runs / "direction-names.json").write_text(damaged)
        refused = client.post("/api/directions/name", json={**asked, "latent": "fg"})
        assert (refused.status_code, refused.json()["error"][:57]) == (409, "name: direction-names.json in the folder of runs is damag"), damaged[:99]
        assert (settings.runs / "direction-names.json").read_text() == damaged
    (settings.runs / "direction-names.json").unlink()
