"""Train: what runs have written, by ids. Quiz: the truth stays here until an answer is given."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from helpers import tiny_runs
from helpers.studio_requests import read
from PIL import Image

import mitlgan
from mitlgan.artifacts.card import Card
from mitlgan.data.demo import demo_pack
from mitlgan.data.open import open_data
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.errors import UsageError
from mitlgan.studio import StudioSettings, create_app, quiz
from mitlgan.studio.catalogue import ActiveArtifact
from mitlgan.studio.errors import RequestRefused
from mitlgan.study import real_or_fake, wilson_interval
from mitlgan.training import run_directory


@pytest.fixture
def run(settings: StudioSettings) -> Path:
    """A run that was stopped, with a report, a snapshot, and statistics of which one is not finite and the last is torn."""
    path = settings.runs / "pretrain" / "fg-<b>-001"
    (path / "snapshots").mkdir(parents=True, exist_ok=True)
    (path / "recipe.toml").write_text("")
    (path / "status.json").write_text(json.dumps({"state": "stopped", "command": "pretrain", "kimg": 1.5, "target_kimg": 3.0, "eta_s": float("nan")}))
    rows = [{"iteration": index, "kimg": index / 10, "critic_loss": float("nan") if index == 2 else -1.5} for index in range(1, 6)]
    (path / "stats.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + '\n{"iteration": 6, "kim')
    Image.new("RGB", (8, 8), "blue").save(path / "snapshots" / "000001.png")
    if not (path / "snapshots" / "000007.png").is_symlink():
        (path / "snapshots" / "000007.png").symlink_to("/etc/hostname")
    (path / "report.html").write_text("<h1>Report</h1><script>alert(1)</script>")
    return path


def test_runs_are_listed_with_their_curves_pictures_and_reports(client: TestClient, run: Path) -> None:
    (found,) = client.get("/api/runs").json()
    assert (found["command"], found["name"], found["status"], found["kimg"], found["of"]) == ("pretrain", "fg-<b>-001", "stopped", 1.5, 3.0)
    assert (found["snapshots"], found["has_report"], found["eta_s"]) == ([1], True, None)
    base = f"/api/runs/{found['id']}"
    rows = client.get(f"{base}/stats").json()
    assert [row["iteration"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row.get("critic_loss") for row in rows] == [-1.5, None, -1.5, -1.5, -1.5]
    assert [row["iteration"] for row in client.get(f"{base}/stats", params={"after": 3}).json()] == [4, 5]
    assert read(client.get(f"{base}/snapshot/1.png").content)[0, 0].tolist() == [0, 0, 255]
    for number in ("0", "7", "-1", "99999999999999999999"):
        assert client.get(f"{base}/snapshot/{number}.png").status_code == 404
    assert client.get(f"{base}/snapshot/secret.png").status_code == 422
    report = client.get(f"{base}/report")
    assert report.text.startswith("<h1>Report</h1>")
    assert report.headers["content-security-policy"].startswith("sandbox; default-src 'none'")  # its script does not run
    (run / "report.html").unlink()
    assert client.get(f"{base}/report").status_code == 404


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_nothing_outside_of_a_run_is_served_and_no_pipe_is_waited_for(client: TestClient, run: Path, tmp_path: Path, kind: str) -> None:
    """A run may come from anywhere: what it has of its own is shown still."""
    secret = tmp_path / "secret"
    secret.mkdir()
    for name in ("report.html", "stats.jsonl", "000001.png"):
        (secret / name).write_text('{"iteration": 1, "secret": 2}\n')
    found = client.get("/api/runs").json()[0]["id"]
    base = f"/api/runs/{found}"
    for path in ("report", "stats", "snapshot/1.png"):
        assert client.get(f"{base}/{path}").status_code == 200
    for name, asked in (("report.html", "report"), ("stats.jsonl", "stats"), ("snapshots/000001.png", "snapshot/1.png")):
        (run / name).unlink()
        if kind == "link":
            (run / name).symlink_to(secret / Path(name).name)
        else:
            os.mkfifo(run / name)
        answer = client.get(f"{base}/{asked}")
        assert answer.status_code == 404
        assert "secret" not in answer.text
        assert str(tmp_path) not in answer.text
    (listed,) = client.get("/api/runs").json()
    assert (listed["has_report"], listed["snapshots"], listed["status"]) == (False, [], "stopped")
    for name in ("status.json", "recipe.toml"):
        (run / name).unlink()
        (run / name).symlink_to(secret / "stats.jsonl")
    (listed,) = client.get("/api/runs").json()
    assert listed["status"] == "empty"
    shutil.rmtree(run / "snapshots")
    (run / "snapshots").symlink_to(secret)
    assert client.get("/api/runs").json()[0]["snapshots"] == []
    assert client.get(f"{base}/snapshot/1.png").status_code == 404
    shutil.rmtree(run)


def test_very_many_rows_are_thinned_and_the_newest_kept(client: TestClient, run: Path) -> None:
    (run / "stats.jsonl").write_text("".join(f'{{"iteration": {index}, "kimg": {index}}}\n' for index in range(1, 2502)))
    found = client.get("/api/runs").json()[0]["id"]
    rows = [row["iteration"] for row in client.get(f"/api/runs/{found}/stats").json()]
    assert len(rows) == 834
    assert rows[-1] == 2501
    assert set(np.diff(rows)) == {3}


@pytest.mark.parametrize(
    ("compositions_of_runs", "expected"),
    [(("scene", "matted"), ["mine-002", "mine-001"]), (("matted", "scene"), ["mine-001", "mine-002"]), (("scene",), ["mine-001"])],
)
def test_the_newest_movable_composition_of_the_runs_comes_first_then_the_shipped(
    compositions_of_runs: tuple[str, ...], expected: list[str], matted: Path, artifacts: dict[str, Path], tmp_path: Path
) -> None:
    def offered() -> list[tuple[str, str, bool]]:
        with TestClient(create_app(StudioSettings(runs=tmp_path)), base_url="http://127.0.0.1:8765") as client:
            return [(one["name"], one["kind"], one["own"]) for one in client.get("/api/artifacts").json()]

    shipped = offered()
    assert shipped[0][1:] == ("composer", False)
    paths = artifacts | {"matted": matted}
    for number, name in enumerate(("fg", *compositions_of_runs), start=1):
        path, command = paths[name], "pretrain" if name == "fg" else "compose"
        run = run_directory.create_run(tmp_path, command, "mine")
        run.recipe_file.write_text("")
        run.write_status({"state": "done"})
        os.utime(run.path / "status.json", (number, number))
        shutil.copy(path, run.path / path.name)
    found = offered()
    compositions = [one for one in found if one[1] == "composer"]
    assert [one for one in compositions if one[2]] == compositions[: len(expected)] == [(name, "composer", True) for name in expected]
    assert found[: len(compositions)] == compositions
    assert found[len(compositions)] == ("mine-001", "generator", True)
    assert [one for one in found if not one[2]] == shipped


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch, packs: dict[str, Path]) -> ImagePack:
    """What quizzes take for real here."""
    found = ImagePack.open(packs["scene"])
    monkeypatch.setattr(quiz, "real_images_for", lambda *_: (found, "a dozen scenes"))
    return found


def test_a_quiz_keeps_the_score_and_its_interval(client: TestClient, ids: dict[str, str], real: ImagePack, monkeypatch: pytest.MonkeyPatch) -> None:
    truths = iter([1, 0, 0, 1])
    monkeypatch.setattr(secrets, "randbelow", lambda limit: next(truths, 0) if limit == 2 else 3)
    question = client.post("/api/quiz", json={"artifact": ids["scene"]}).json()
    assert set(question) == {"quiz", "picture", "asked", "right", "real_pictures", "real_count"}  # and nothing that tells
    assert (question["asked"], question["right"], question["real_pictures"], question["real_count"]) == (0, 0, "a dozen scenes", 12)
    assert np.array_equal(read(question["picture"]), real.batch([3])[0].permute(1, 2, 0).numpy())
    told = [client.post(f"/api/quiz/{question['quiz']}", json={"answer": answer}).json() for answer in ("real", "real", "fake")]
    assert [one["truth"] for one in told] == ["real", "fake", "fake"]
    assert [(one["asked"], one["right"]) for one in told] == [(1, 1), (2, 1), (3, 2)]
    assert told[-1]["interval"] == list(wilson_interval(2, 3))
    assert all(set(one["next"]) == set(question) for one in told)
    assert len({len(picture) for picture in (question["picture"], *(one["next"]["picture"] for one in told))}) == 1  # not even the size tells


def test_a_quiz_is_over_when_it_has_asked_about_every_real_picture(client: TestClient, ids: dict[str, str], real: ImagePack) -> None:
    """A second time each would give itself away, and the score would count it."""
    question = client.post("/api/quiz", json={"artifact": ids["scene"]}).json()
    told, seen = [], []
    while question is not None:
        seen.append(question["picture"])
        told.append(client.post(f"/api/quiz/{question['quiz']}", json={"answer": "real"}).json())
        question, quiz_id = told[-1]["next"], question["quiz"]
    reals = [picture for picture, one in zip(seen, told, strict=True) if one["truth"] == "real"]
    assert len(reals) == len(set(reals)) == 12
    assert told[-1]["truth"] == "real"
    assert (told[-1]["asked"], told[-1]["right"]) == (len(told), 12)
    refused = client.post(f"/api/quiz/{quiz_id}", json={"answer": "real"})
    assert (refused.status_code, refused.json()["error"]) == (409, "quiz: is over, all real pictures have been asked about; begin another")
    assert client.post("/api/quiz", json={"artifact": ids["scene"]}).json()["asked"] == 0


def test_a_quiz_refuses_what_is_no_answer(client: TestClient, ids: dict[str, str], real: ImagePack) -> None:
    question = client.post("/api/quiz", json={"artifact": ids["bg"]}).json()
    assert client.post(f"/api/quiz/{question['quiz']}", json={"answer": "maybe"}).status_code == 422
    assert client.post("/api/quiz/none", json={"answer": "real"}).status_code == 404
    assert client.post("/api/quiz", json={"artifact": "none"}).status_code == 404


def test_a_quiz_without_real_pictures_is_refused_in_a_line(client: TestClient, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_card: Card, _path: Path) -> tuple[ImagePack, str]:
        raise UsageError("quiz: no real pictures")

    monkeypatch.setattr(quiz, "real_images_for", missing)
    refused = client.post("/api/quiz", json={"artifact": ids["matted"]})
    assert refused.status_code == 422
    assert refused.json() == {"error": "quiz: no real pictures"}


def folder_of_pictures(folder: Path, seed: int, count: int = 12) -> Path:
    folder.mkdir(parents=True)
    for index, picture in enumerate(tiny_runs.pixels(count, seed)):
        Image.fromarray(picture.transpose(1, 2, 0)).save(folder / f"{index}.png")
    return folder


def trained_on(card: Card, source: Path, split: str = "train") -> Card:
    pack = open_data(str(source), card.role, card.size_px, split=split)
    return card.model_copy(update={"data": {"source": str(source), "content_sha256": pack.content_sha256}})


def test_a_quiz_asks_about_the_pictures_that_the_artifact_was_trained_on(artifacts: dict[str, Path], packs: dict[str, Path], tmp_path: Path) -> None:
    card = mitlgan.load(artifacts["scene"]).card
    own = ImagePack.open(packs["scene"])
    real, words = real_or_fake.real_images_for(trained_on(card, packs["scene"]), artifacts["scene"])
    assert real.content_sha256 == own.content_sha256
    assert words == f"the pictures of {packs['scene'].stem}; it was trained on them"
    shoes = folder_of_pictures(tmp_path / "shoes", seed=3)
    real, words = real_or_fake.real_images_for(trained_on(card, shoes), artifacts["scene"])
    assert len(real) == 12
    assert words == "the pictures of shoes; it was trained on them"


def test_real_cut_outs_stand_before_the_colour_of_the_generated_ones(artifacts: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "shoes").mkdir()
    Image.new("RGBA", (8, 8), (200, 100, 0, 0)).save(tmp_path / "shoes" / "0.png")
    card = mitlgan.load(artifacts["scene"]).card
    card = card.model_copy(update={"recipe": card.recipe | {"data": {"backdrop": [0, 9, 200]}}})
    pack = open_data(str(tmp_path / "shoes"), "scene", card.size_px, backdrop=(0, 9, 200))
    card = card.model_copy(update={"data": {"source": str(tmp_path / "shoes"), "content_sha256": pack.content_sha256}})
    real, _ = real_or_fake.real_images_for(card, artifacts["scene"])
    assert real.batch([0])[0, :, 0, 0].tolist() == [0, 9, 200]


@pytest.mark.parametrize(("held_out", "taken"), [(("test",), "test"), (("validation",), "validation"), (("validation", "test"), "test")])
def test_held_out_pictures_of_the_set_come_first(artifacts: dict[str, Path], tmp_path: Path, held_out: tuple[str, ...], taken: str) -> None:
    card = mitlgan.load(artifacts["scene"]).card
    for seed, split in enumerate(("train", *held_out)):
        folder_of_pictures(tmp_path / "shoes" / split, seed, count=4 + seed)
    real, words = real_or_fake.real_images_for(trained_on(card, tmp_path / "shoes"), artifacts["scene"])
    assert real.content_sha256 == open_data(str(tmp_path / "shoes"), "scene", card.size_px, split=taken).content_sha256
    assert words == f"the pictures of shoes; held out, {taken}"


@pytest.mark.parametrize(
    ("train", "test", "count", "words"),
    [
        (6, 3, 6, "it was trained on them, as only 3 are held out"),
        (30, 19, 30, "it was trained on them, as only 19 are held out"),
        (30, 20, 20, "held out, test"),
        (5, 6, 6, "held out, test"),  # there are not more
    ],
)
def test_few_held_out_pictures_give_way_to_those_of_training(
    artifacts: dict[str, Path], tmp_path: Path, train: int, test: int, count: int, words: str
) -> None:
    card = mitlgan.load(artifacts["scene"]).card
    for seed, (split, number) in enumerate((("train", train), ("test", test))):
        folder_of_pictures(tmp_path / "shoes" / split, seed, number)
    real, told = real_or_fake.real_images_for(trained_on(card, tmp_path / "shoes"), artifacts["scene"])
    assert (len(real), told) == (count, f"the pictures of shoes; {words}")


def test_without_those_pictures_there_is_no_quiz_but_a_sentence(artifacts: dict[str, Path], packs: dict[str, Path], tmp_path: Path) -> None:
    card = mitlgan.load(artifacts["scene"]).card
    changed = card.model_copy(update={"data": {"source": str(packs["scene"]), "content_sha256": "0"}})
    gone = card.model_copy(update={"data": {"source": str(tmp_path / "shoes"), "content_sha256": "0"}})
    unnamed = card.model_copy(update={"data": {}})
    for without, reason in ((changed, "no longer those that"), (gone, r"\(shoes\) are not at hand"), (unnamed, "does not say which")):
        with pytest.raises(UsageError, match=f"^quiz: .*{reason}") as refused:
            real_or_fake.real_images_for(without, artifacts["scene"])
        assert str(tmp_path) not in str(refused.value)
    with pytest.raises(UsageError, match="so there are no real ones to ask about; choose another"):
        quiz.QuizStore().start(ActiveArtifact("scene", artifacts["scene"], mitlgan.load(artifacts["scene"]), {}))


def test_a_moved_projects_and_a_relative_set_are_asked_about(artifacts: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "project" / "runs" / "compose" / "mine-001"
    run.mkdir(parents=True)
    (run / "recipe.toml").write_text("")
    pictures = folder_of_pictures(tmp_path / "project" / "shoes", seed=3)
    other = folder_of_pictures(tmp_path / "elsewhere" / "shoes", seed=4)
    card = trained_on(mitlgan.load(artifacts["scene"]).card, pictures)
    relative = card.model_copy(update={"data": card.data | {"source": "shoes", "count": 12}})
    for folder in (pictures.parent, other.parent):
        monkeypatch.chdir(folder)
        real, _ = real_or_fake.real_images_for(relative, run / "artifact.safetensors")
        assert real.content_sha256 == card.data["content_sha256"]
    with pytest.raises(UsageError, match="are not at hand"):  # from here nothing says which pictures these are
        real_or_fake.real_images_for(relative, tmp_path / "alone.safetensors")


def test_the_demos_artifacts_are_asked_about_the_demo(artifacts: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_or_fake, "DEMO_SCENES", 3)
    card = mitlgan.load(artifacts["scene"]).card.model_copy(update={"data": {"source": "demo"}})
    real, words = real_or_fake.real_images_for(card, artifacts["scene"])
    assert real.content_sha256 == demo_pack("scene", card.size_px, split="test", count=3).content_sha256
    assert words == "the demo's scenes, put together from drawn objects and photographed places; held out, test"


def test_quizzes_that_were_left_are_forgotten(artifacts: dict[str, Path], real: ImagePack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiz, "MAX_QUIZZES", 2)
    quizzes = quiz.QuizStore()
    loaded = ActiveArtifact("fg", artifacts["fg"], mitlgan.load(artifacts["fg"]), {})
    first, second, third = (quizzes.start(loaded).quiz for _ in range(3))
    assert quizzes.artifact_id(third) == quizzes.artifact_id(second) == "fg"
    with pytest.raises(RequestRefused):
        quizzes.artifact_id(first)


def test_no_client_makes_another_lose_its_quiz(artifacts: dict[str, Path], real: ImagePack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiz, "MAX_QUIZZES", 12)
    monkeypatch.setattr(quiz, "MAX_QUIZZES_PER_CLIENT", 8)
    quizzes = quiz.QuizStore()
    loaded = ActiveArtifact("fg", artifacts["fg"], mitlgan.load(artifacts["fg"]), {})
    first = quizzes.start(loaded, "quiet").quiz
    loud = [quizzes.start(loaded, "loud").quiz for _ in range(30)]
    assert quizzes.artifact_id(first) == quizzes.artifact_id(loud[-8]) == "fg"
    with pytest.raises(RequestRefused):
        quizzes.artifact_id(loud[-9])
    others = [quizzes.start(loaded, f"other {number}").quiz for number in range(6)]  # when all have too many, it goes of who has most
    assert {quizzes.artifact_id(one) for one in (first, *others, *loud[-4:])} == {"fg"}
    with pytest.raises(RequestRefused):
        quizzes.artifact_id(loud[-6])
    assert len(quizzes._quizzes) == 12
