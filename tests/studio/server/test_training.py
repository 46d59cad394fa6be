"""Trainings of the studio's own: on pictures that it was started with and no others, one at a time, stopped, continued, and ended with the studio."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from helpers import tiny_runs
from PIL import Image

from mitlgan.errors import DataError
from mitlgan.recipe import load_recipe, require_generator_learns
from mitlgan.runtime.files import lock_folder
from mitlgan.studio import StudioSettings, create_app, trainer
from mitlgan.studio.training_plan import StartRequest, offered_recipes, plan_start
from mitlgan.studio.training_sets import empty_folders, offer_sets

ADDRESS = "http://127.0.0.1:8765"
FAKE = """
import signal, sys, time
from pathlib import Path
from mitlgan.recipe import load_recipe
from mitlgan.runtime.files import lock_folder
from mitlgan.training.run_directory import Run, create_run
asked = sys.argv[1:]
ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
print("packing 12 pictures", file=sys.stderr, flush=True)
if asked[0] == "resume":
    run = Run(Path(asked[1]))
    recipe = run.load_recipe()
else:
    file = Path(asked[asked.index("--recipe") + 1])
    recipe = load_recipe(str(file))
    run = create_run(Path(asked[asked.index("--out") + 1]), asked[0], recipe.name)
    run.recipe_file.write_text(file.read_text())
(run.path / "arguments.txt").write_text(" ".join(asked))
with lock_folder(run.path):
    run.write_status({"state": "running", "kimg": 0.5, "target_kimg": recipe.training.kimg})
    if recipe.training.kimg == 7:
        print("warning: nothing\\n/secret/place/photos: holds no pictures; name another folder", file=sys.stderr)
        raise SystemExit(3)
    while not ended and asked[0] != "resume":
        time.sleep(0.02)
    run.write_status({"state": "stopped" if ended else "done", "kimg": 0.6})
raise SystemExit(143 if ended else 0)
"""
"""What `mitlgan` does, without the work."""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """What `data split` writes, in small."""
    for index, role in enumerate(("fg", "bg", "scene")):
        (tmp_path / "layers" / role).mkdir(parents=True)
        for number, picture in enumerate(tiny_runs.pixels(12, index, 4 if role == "fg" else 3)):
            Image.fromarray(picture.transpose(1, 2, 0)).save(tmp_path / "layers" / role / f"{number}.png")
    return tmp_path / "layers"


Ask = Callable[..., Any]


@pytest.fixture
def studio(settings: StudioSettings, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A studio that may train on them, by commands that only pretend."""
    monkeypatch.setattr(trainer, "COMMAND", (sys.executable, "-c", FAKE))
    monkeypatch.setattr(trainer, "POLL_S", 0.02)
    with TestClient(create_app(dataclasses.replace(settings, runs=tmp_path / "runs", data=(photos,))), base_url=ADDRESS) as client:
        yield client


def until(client: TestClient, state: str) -> dict[str, Any]:
    """The training, once it is in a state; one that runs has written its status."""
    end = time.monotonic() + 60
    while True:
        current: dict[str, Any] = client.get("/api/training").json()["current"]
        if current["state"] == state and (
            state != "running" or any(run["id"] == current["run"] and run["status"] == "running" for run in client.get("/api/runs").json())
        ):
            return current
        assert time.monotonic() < end, current
        time.sleep(0.05)


def set_id(client: TestClient, name: str = "layers") -> str:
    return next(one["id"] for one in client.get("/api/training").json()["sets"] if one["name"] == name)


def test_what_is_offered_are_the_sets_by_name_and_recipes(studio: TestClient, photos: Path) -> None:
    offer = studio.get("/api/training").json()
    assert [(one["name"], one["roles"]) for one in offer["sets"]] == [("layers", ["fg", "bg", "scene"]), ("Demo pictures", ["fg", "bg", "scene"])]
    assert str(photos) not in json.dumps(offer)
    recipes = {one["name"]: one for one in offer["recipes"]}
    assert offer["recipes"][0]["name"].startswith("recommended/")
    assert (recipes["recommended/fg-32"]["command"], recipes["recommended/fg-32"]["role"], recipes["recommended/fg-32"]["kimg"]) == (
        "pretrain",
        "fg",
        60,
    )
    assert (recipes["recommended/fg-64-grown"]["start_px"], recipes["recommended/fg-64-grown"]["needs_start"]) == (32, True)
    assert (recipes["few/fg-32"]["start_px"], recipes["few/fg-32"]["needs_start"]) == (32, True)
    assert (recipes["recommended/fg-128-grown"]["start_px"], recipes["recommended/fg-128-grown"]["needs_start"]) == (32, False)
    assert recipes["recommended/compose-32"]["layered"]
    assert not [name for name in recipes if name.startswith(("classic/", "inpaint/"))]
    assert offer["current"] is None


def test_a_training_is_started_watched_stopped_and_continued(studio: TestClient, photos: Path, tmp_path: Path) -> None:
    begun = studio.post("/api/training", json={"set": set_id(studio), "recipe": "recommended/bg-32", "kimg": 2})
    assert begun.status_code == 202
    running = until(studio, "running")
    assert running["label"] == "pretrain recommended/bg-32"
    assert running["message"] == "packing 12 pictures"
    (listed,) = studio.get("/api/runs").json()
    assert (listed["id"], listed["status"], listed["can_resume"]) == (running["run"], "running", False)
    path = tmp_path / "runs" / "pretrain" / listed["name"]
    recipe = load_recipe(str(path / "recipe.toml"))
    assert (recipe.data.source, recipe.training.kimg, recipe.training.snapshot_iterations) == (str(photos / "bg"), 2, 16)  # of 125
    refused = studio.post("/api/training", json={"set": set_id(studio), "recipe": "recommended/fg-32"})
    assert (refused.status_code, refused.json()["error"]) == (409, "training: one is running already; stop it first, or wait for its end")
    assert studio.post("/api/training/resume", json={"run": listed["id"]}).status_code == 409
    assert studio.post("/api/training/stop").status_code == 202
    assert until(studio, "stopped")["run"] == listed["id"]
    assert studio.post("/api/training/stop").status_code == 409
    (listed,) = studio.get("/api/runs").json()
    assert (listed["status"], listed["can_resume"]) == ("stopped", True)
    assert studio.post("/api/training/resume", json={"run": listed["id"], "end": True}).status_code == 202
    late = studio.post("/api/training/stop", json={"number": 1})  # by a page that still shows the one before
    assert (late.status_code, late.json()["error"]) == (409, "training: this one has ended; another has been started since")
    assert until(studio, "done")["number"] == 2
    assert (path / "arguments.txt").read_text() == f"resume {path} --end --device cpu --json"
    assert studio.post("/api/training/resume", json={"run": listed["id"]}).json()["label"] == f"resume {path.name}"
    until(studio, "done")


def test_a_composition_is_started_over_artifacts_by_their_ids(studio: TestClient, artifacts: dict[str, Path], tmp_path: Path) -> None:
    ids = {one["name"]: one["id"] for one in studio.get("/api/artifacts").json()}
    wish = {"set": set_id(studio), "recipe": "recommended/compose-32", "kimg": 1, "layers": {"bg": ids["bg"], "fg": ids["fg"]}}
    assert studio.post("/api/training", json=wish).status_code == 202
    until(studio, "running")
    (path,) = (tmp_path / "runs" / "compose").glob("*/arguments.txt")
    assert path.read_text().startswith(f"compose --bg {artifacts['bg']} --fg {artifacts['fg']} --recipe ")
    composer = load_recipe(str(path.parent / "recipe.toml")).composer
    assert composer is not None
    assert composer.placement is not None
    assert composer.placement.mattes == "scenes"  # of a set with mattes
    studio.post("/api/training/stop")
    until(studio, "stopped")
    for change, status, line in (
        ({"layers": {"bg": "none", "fg": ids["fg"]}}, 404, "artifact:"),
        ({"start": ids["fg"]}, 422, "start:"),
        ({"recipe": "recommended/bg-32"}, 422, "layers:"),
    ):
        refused = studio.post("/api/training", json={**wish, **change})
        assert (refused.status_code, refused.json()["error"].startswith(line)) == (status, True)


def test_every_recipe_on_offer_can_have_another_length(photos: Path) -> None:
    sets = offer_sets([photos], with_demo=False)
    (own,) = sets
    for name, recipe in offered_recipes().items():
        for kimg in (0.5, 3.0, recipe.training.kimg, 1000.0):
            planned = plan_start(StartRequest(set=own, recipe=name, kimg=kimg), sets, lambda _: Path("x")).recipe
            assert planned is not None
            assert planned.training.kimg == pytest.approx(kimg)
            require_generator_learns(planned)
            assert planned.data.source == str(photos / recipe.role)


def test_an_error_is_shown_without_where_things_are(studio: TestClient) -> None:
    studio.post("/api/training", json={"set": set_id(studio), "recipe": "recommended/bg-32", "kimg": 7})
    assert until(studio, "failed")["message"] == "photos: holds no pictures; name another folder"


@pytest.mark.parametrize("wish", ["/etc", "../layers", "layers", "", "demo/../../etc", "0" * 12])
def test_no_folder_is_trained_on_that_was_not_offered(studio: TestClient, wish: str, photos: Path) -> None:
    refused = studio.post("/api/training", json={"set": wish, "recipe": "recommended/bg-32"})
    assert refused.status_code == (404 if wish else 422)
    assert studio.post("/api/training", json={"set": str(photos), "recipe": "recommended/bg-32"}).status_code == 404  # not even by its own path
    for more in ({"data": "/etc"}, {"out": "/tmp"}, {"settings": ["data.source=/etc"]}, {"layers": {"fg": "/etc/passwd"}}):
        body = {"set": set_id(studio), "recipe": "recommended/compose-32", **more}
        assert studio.post("/api/training", json=body).status_code == (404 if "layers" in more else 422)
    for recipe in ("/etc/passwd", "../../recipe", "classic/akel-01", "layers/recipe.toml"):
        assert studio.post("/api/training", json={"set": set_id(studio), "recipe": recipe}).status_code == 404
    for kimg in (0, -1, 1e400, 1e9, "NaN"):
        body = json.dumps({"set": set_id(studio), "recipe": "recommended/bg-32", "kimg": kimg})
        assert studio.post("/api/training", content=body, headers={"Content-Type": "application/json"}).status_code == 422
    refused = studio.post("/api/training", content='{"set":', headers={"Content-Type": "application/json"})
    assert (refused.status_code, refused.json()["error"]) == (422, "body: is not JSON, from character 7 on")
    assert studio.get("/api/training").json()["current"] is None
    assert (
        studio.post("/api/training", json={"set": set_id(studio), "recipe": "recommended/bg-32"}, headers={"Origin": "http://evil.example"}).status_code
        == 403
    )


def test_a_run_of_other_pictures_is_not_continued(studio: TestClient, photos: Path, tmp_path: Path) -> None:
    """A run's folder may come from anywhere, so its recipe may name anything."""
    for number, source in enumerate(("/etc", str(photos), str(photos / "bg" / ".."), "demo", str(photos / "bg"))):
        run = tmp_path / "runs" / "pretrain" / f"other-{number:03d}"
        (run / "checkpoints").mkdir(parents=True)
        (run / "recipe.toml").write_text(f'[data]\nsource = "{source}"\n')
        (run / "status.json").write_text('{"state": "stopped"}')
    listed = {one["name"]: one for one in studio.get("/api/runs").json()}
    assert [listed[f"other-{number:03d}"]["can_resume"] for number in range(5)] == [False, False, False, True, True]
    refused = studio.post("/api/training/resume", json={"run": listed["other-000"]["id"]})
    assert refused.status_code == 403
    assert "/etc" not in refused.text
    with lock_folder(tmp_path / "runs" / "pretrain" / "other-004"):
        assert studio.post("/api/training/resume", json={"run": listed["other-004"]["id"]}).status_code == 409
    assert studio.post("/api/training/resume", json={"run": "none"}).status_code == 404


def test_a_training_ends_with_the_studio(settings: StudioSettings, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "COMMAND", (sys.executable, "-c", FAKE))
    with TestClient(create_app(dataclasses.replace(settings, runs=tmp_path / "runs", data=(photos,))), base_url=ADDRESS) as client:
        client.post("/api/training", json={"set": set_id(client), "recipe": "recommended/bg-32"})
        until(client, "running")
    (status,) = (tmp_path / "runs" / "pretrain").glob("*/status.json")
    assert json.loads(status.read_text())["state"] == "stopped"  # it has saved


def test_beyond_this_machine_nothing_is_trained_unless_the_owner_has_named_pictures(settings: StudioSettings, photos: Path) -> None:
    token = {"Authorization": "Bearer a secret of 24 letters"}
    remote = dataclasses.replace(settings, host="0.0.0.0", token="a secret of 24 letters")
    for data, names in (((), []), ((photos,), ["layers", "Demo pictures"])):
        with TestClient(create_app(dataclasses.replace(remote, data=data)), base_url=ADDRESS) as client:
            assert [one["name"] for one in client.get("/api/training", headers=token).json()["sets"]] == names
            if not names:
                assert client.post("/api/training", json={"set": "demo", "recipe": "recommended/bg-32"}, headers=token).status_code == 404


def test_a_folder_that_is_not_there_is_refused_before_the_studio_begins(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^--data .*none: no such folder or file; give a folder of pictures"):
        offer_sets([tmp_path / "none"], with_demo=True)


def test_a_folder_without_any_file_is_named(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "empty" / "inside").mkdir(parents=True)
    assert empty_folders([tmp_path / "empty", photos, tmp_path / "none"]) == [tmp_path / "empty"]
