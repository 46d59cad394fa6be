"""Times are in a file next to an artifact: equal trainings make equal artifacts, and what shows times still has them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import tiny_runs

from mitlgan.artifacts.card import Card, read_card, read_weights_hash
from mitlgan.artifacts.load_save import load_network, record_metrics
from mitlgan.artifacts.loaded_artifact import load_artifact
from mitlgan.artifacts.markdown_card import markdown_card
from mitlgan.artifacts.safetensors_io import read_header
from mitlgan.artifacts.summary import describe
from mitlgan.artifacts.times import TIME_KEYS, TIMES_FILE
from mitlgan.errors import Stopped
from mitlgan.recipe import with_overrides
from mitlgan.report.run_files import write_run_files
from mitlgan.stages.compose import compose
from mitlgan.stages.inpainter import train_inpainter
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import resume
from mitlgan.training.run_directory import Run

EARLIER_RUN = Path(__file__).parents[1] / "stages" / "earlier_run"
UPDATES = 5


def keys_of(tree: Any) -> set[str]:
    """All keys of a JSON tree."""
    children = list(tree.values()) if isinstance(tree, dict) else tree if isinstance(tree, list) else []
    return set(tree if isinstance(tree, dict) else ()).union(*(keys_of(child) for child in children))


def hashes(run: Run) -> dict[str, str]:
    """The SHA-256 of every artifact and card of a run: final, kept, best, critic."""
    paths = [path for pattern in ("*.safetensors", "card.json") for path in run.path.rglob(pattern) if path.parent.name != "checkpoints"]
    return {str(path.relative_to(run.path)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def train(kind: str, packs: dict[str, Path], root: Path) -> Run:
    """Train a layer, a plain WGAN, a composition over layers that are trained for it, or an inpainter."""
    kimg = [0.0, 2 * tiny_runs.PER_UPDATE / 1000]
    settings = {"updates": UPDATES, "keep_kimg": kimg}
    environment = tiny_runs.run_context(root)
    if kind == "inpainter":
        return train_inpainter(tiny_runs.inpaint_recipe(packs["bg"], **settings), environment)
    if kind != "composition":
        recipe = tiny_runs.recipe(kind, packs[kind], **settings)
        return pretrain(with_overrides(recipe, evaluation__best_by="kid") if kind == "bg" else recipe, environment)
    layers = {}
    for role in ("fg", "bg"):
        finished = root.parent / f"{root.name}-{role}"
        layers[role] = (
            tiny_runs.only_run(finished) if finished.exists() else pretrain(tiny_runs.recipe(role, packs[role]), tiny_runs.run_context(finished))
        )
    return compose(tiny_runs.recipe("scene", packs["scene"], compose=True, **settings), tiny_runs.layers(layers), environment)


@pytest.mark.parametrize("kind", ["bg", "scene", "composition", "inpainter"])
def test_equal_trainings_make_equal_artifacts_and_cards(kind: str, packs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = train(kind, packs, tmp_path / "first"), train(kind, packs, tmp_path / "second")
    with monkeypatch.context() as patch:
        tiny_runs.before_step(patch, tiny_runs.send(signal.SIGTERM), at=3)
        with pytest.raises(Stopped):
            train(kind, packs, tmp_path / "stopped")
    resumed = resume(tiny_runs.only_run(tmp_path / "stopped").path, tiny_runs.run_context(tmp_path / "stopped"))
    names = {"inpainter": "inpainter", "composition": "composer"}.get(kind, "generator")
    expected = {f"{folder}{file}" for folder in ("", "kept/000000.000/", "kept/000000.016/") for file in (f"{names}.safetensors", "card.json")}
    expected |= {"critic/critic.safetensors", "critic/card.json"} if kind in ("bg", "scene") else set()
    expected |= {"best/generator.safetensors", "best/card.json"} if kind == "bg" else set()
    assert hashes(first).keys() == expected
    assert hashes(first) == hashes(second) == hashes(resumed)
    for path in first.path.rglob("*.safetensors"):
        assert path.parent.name == "checkpoints" or not TIME_KEYS & keys_of(read_header(path))
    for path in first.path.rglob("card.json"):
        assert not TIME_KEYS & keys_of(json.loads(path.read_text()))
        assert path.with_name(TIMES_FILE).is_file()


def test_what_shows_times_reads_them_from_next_to_the_artifact(composed: Run, pretrained: dict[str, Run], tmp_path: Path) -> None:
    run = Run(shutil.copytree(composed.path, tmp_path / "run"))
    path = run.artifact_file
    assert path is not None
    card, status = read_card(path), run.read_status()
    assert card.seconds == pytest.approx(status["seconds"], abs=1e-3)
    assert card.cpu_seconds == pytest.approx(status["cpu_seconds"], abs=1e-3)
    for name, layer in card.layers.items():
        assert layer.total_spent("seconds") == pytest.approx(pretrained[name].read_status()["seconds"], abs=1e-3)
        assert layer.total_spent("cpu_seconds") > 0
    assert load_network(path)[1] == card
    assert describe(str(path))["card"]["seconds"] == card.seconds
    times = json.loads(path.with_name(TIMES_FILE).read_text())
    path.with_name(TIMES_FILE).write_text(json.dumps({**times, "seconds": 7200.0}))
    assert ", 120 min" in markdown_card(load_artifact(path))
    write_run_files(run)
    assert "| seconds | 7200.0 |" in (run.path / "hyperparameters.md").read_text()


def test_measured_times_of_metrics_are_no_part_of_the_card_either(pretrained: dict[str, Run], tmp_path: Path) -> None:
    run = Run(shutil.copytree(pretrained["bg"].path, tmp_path / "run"))
    path = run.artifact_file
    assert path is not None
    before = read_card(path)
    figures = {"recovery": {"seconds_median": 2.5, "psnr_db": 30.0, "pictures": [{"seed": 0}, {"seed": 1, "seconds": 3.5}]}}
    record_metrics(path, figures, read_weights_hash(path))
    stored = {"recovery": {"psnr_db": 30.0, "pictures": [{"seed": 0}, {"seed": 1}]}}
    assert read_header(path)["metrics"] == json.loads((run.path / "card.json").read_text())["metrics"] == stored
    assert read_card(path).metrics == figures
    assert read_card(path).seconds == before.seconds > 0


def test_an_artifact_of_an_earlier_version_keeps_the_times_in_its_card(tmp_path: Path) -> None:
    path = Path(shutil.copytree(EARLIER_RUN, tmp_path / "run")) / "generator.safetensors"
    card = json.loads((EARLIER_RUN / "card.json").read_text())
    times = (card["seconds"], card["cpu_seconds"])
    path.with_name(TIMES_FILE).write_text(json.dumps({"tensors_sha256": card["tensors_sha256"], "seconds": 99.0}))
    assert (read_card(path).seconds, load_network(path)[1].cpu_seconds) == times
    record_metrics(path, {}, read_weights_hash(path))
    assert not TIME_KEYS & keys_of(read_header(path))
    assert (read_card(path).seconds, read_card(path).cpu_seconds) == times


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.rename(path.with_name("elsewhere.json"))
    path.symlink_to("elsewhere.json")


def _write(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text.replace("HASH", json.loads(path.read_text())["tensors_sha256"]))


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink, _fifo, _link, _write(""), _write("[]"), _write('{"tensors_sha256": "HASH", "seconds": -1}'), _write('{"seconds": 5}'),
        _write('{"tensors_sha256": "HASH", "seconds": "5"}'), _write('{"tensors_sha256": "HASH", "seconds": 1e999, "cpu_seconds": NaN}'),
        _write('{"tensors_sha256": "HASH", "seconds": true, "layers": [5], "kimg": 9}'), _write('{"a":' * 100_000),
        _write('{"tensors_sha256": "' + "0" * 64 + '", "seconds": 5}'),
    ],
)  # fmt: skip
def test_times_that_cannot_be_used_are_unknown_and_the_artifact_is_as_good(
    damage: Callable[[Path], object], pretrained: dict[str, Run], tmp_path: Path
) -> None:
    run = Run(shutil.copytree(pretrained["bg"].path, tmp_path / "run"))
    path = run.artifact_file
    assert path is not None
    whole: Card = read_card(path)
    damage(run.path / TIMES_FILE)
    assert load_network(path)[1] == whole.model_copy(update={"seconds": 0.0, "cpu_seconds": 0.0})
