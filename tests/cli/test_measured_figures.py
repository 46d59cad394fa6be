"""What a command measures for long is told, whatever cannot be written; and what cannot be written is refused before."""

from __future__ import annotations

import errno
import importlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import tiny_runs
from helpers.commands import Command

import mitlgan
from mitlgan.artifacts.card import read_card, read_weights_hash
from mitlgan.artifacts.load_save import load_network, save_network
from mitlgan.errors import ArtifactError, UnwritableError
from mitlgan.runtime import files

SMALL = ("-n", "4", "--extractor", "efficientnet-lite0@32")
COMMANDS: dict[str, tuple[str, ...]] = {
    "evaluate": ("evaluate", "FG", "--split", "train", *SMALL), "embed-score": ("embed-score", "FG", "--seconds", "1", "--perceptual", "0", *SMALL),
    "recovery": ("embed-score", "FG", "--self", "-n", "1", "--seconds", "1"), "inpaint-score": ("inpaint-score", "--method", "mean", *SMALL),
}  # fmt: skip
PICTURES = {
    "grid": ("evaluate", "SCENE", "--separation", "--split", "train", *SMALL, "--grid", "PATH"), "sheet": (*COMMANDS["embed-score"], "--sheet", "PATH"),
    "holes": (*COMMANDS["inpaint-score"], "--sheet", "PATH"),
}  # fmt: skip
MEASUREMENTS = (
    "mitlgan.metrics.protocol.evaluate_each", "mitlgan.inversion.evaluate.fit_held_out", "mitlgan.inversion.self_recovery.measure_self_recovery",
    "mitlgan.inpainting.score_fillers",
)  # fmt: skip


@pytest.fixture
def run(command: Command, folder: Path, artifacts: dict[str, Path], packs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Calls a command with copies of the artifacts and small pictures; with `measures=False`, a measurement fails the test."""
    from mitlgan.inpainting import fillers

    for role in ("fg", "scene"):
        shutil.copytree(artifacts[role].parent, folder / role)
    own = Path(shutil.copytree(fillers.shipped_artifact("context").parent, folder / "inpainter")) / fillers.shipped_artifact("context").name
    monkeypatch.setattr(fillers, "shipped_artifact", lambda name: own)
    words = {"FG": str(folder / "fg" / "generator.safetensors"), "SCENE": str(folder / "scene" / "composer.safetensors"), "PATH": "file/a.png"}

    def call(arguments: tuple[str, ...], *more: str, measures: bool) -> Any:
        if not measures:
            for name in MEASUREMENTS:
                monkeypatch.setattr(name, lambda *_, **__: pytest.fail("it measured"))
        pack = packs["scene"] if "SCENE" in arguments else tiny_runs.pack(folder / "p.npy", size_px=32) if "inpaint-score" in arguments else packs["bg"]
        data = () if "--self" in arguments else ("--data", pack)
        return command(*(words.get(word, word) for word in arguments), *data, *more)

    return call


@pytest.mark.parametrize("name", COMMANDS)
def test_a_card_that_cannot_be_written_is_refused_before_it_is_measured(
    name: str, run: Callable[..., Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = files.open_temporary

    def refuse(path: Path, *, root: Path) -> Any:
        if folder in path.parents and path.parent != folder:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path, root=root)

    monkeypatch.setattr(files, "open_temporary", refuse)
    done = run(COMMANDS[name], "--write-card", "--json", measures=False)
    assert (done.code, done.out) == (5, "")
    assert done.err.splitlines()[-1].endswith("cannot be written (Permission denied); make it writable, and run the same command again")


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_that_cannot_be_written_is_refused_before_it_is_measured(name: str, run: Callable[..., Any], folder: Path) -> None:
    (folder / "file").touch()
    done = run(PICTURES[name], measures=False)
    assert (done.code, done.out) == (5, "")
    assert done.err.splitlines()[-1].startswith(f"file/a.png: cannot be written ({folder}/file is a file, not a folder)")


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_that_cannot_be_written_in_the_end_is_not_named_as_a_result(
    name: str, run: Callable[..., Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *_: Any, **__: Any) -> None:
        raise UnwritableError(f"{path}: cannot be written (why)")

    (folder / "file").mkdir()
    monkeypatch.setattr("mitlgan.runtime.files.write_atomically", refuse)
    done = run(PICTURES[name], measures=True)
    assert done.code == 5
    assert done.err.splitlines()[-1].startswith("file/a.png: cannot be written (why)")
    assert "efficientnet-lite0" in done.out
    assert "a.png" not in done.out


@pytest.mark.parametrize("name", COMMANDS)
def test_figures_are_told_though_the_card_cannot_be_written_in_the_end(name: str, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, figures: dict[str, Any], measured_sha256: str) -> None:
        assert figures
        assert measured_sha256 == read_weights_hash(path)
        raise UnwritableError(f"{path}: cannot be written (why)")

    for module in ("mitlgan.artifacts.load_save", "mitlgan.stages.evaluate"):
        monkeypatch.setattr(f"{module}.record_metrics", refuse)
    done = run(COMMANDS[name], "--write-card", "--json", measures=True)
    assert done.code == 5
    assert done.json
    assert "cannot be written (why)" in done.err


@pytest.mark.parametrize("name", [*COMMANDS, "holes by the network", "python"])
def test_figures_of_a_network_that_was_replaced_meanwhile_are_told_and_not_written(
    name: str, run: Callable[..., Any], folder: Path, packs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A longer training, resumed while its network is measured, ends before the measurement does."""
    others: dict[str, tuple[str, ...]] = {"holes by the network": (*COMMANDS["inpaint-score"], "--method", "context"), "python": ()}
    words = (COMMANDS | others)[name]
    file = folder / ("inpainter/context-32/inpainter.safetensors" if "inpaint-score" in words else "fg/generator.safetensors")
    written: list[bytes] = []

    def replace_after(measure: Callable[..., Any]) -> Callable[..., Any]:
        def measure_and_replace(*arguments: Any, **options: Any) -> Any:
            result = measure(*arguments, **options)
            network, card = load_network(file)
            for parameter in network.parameters():
                parameter.mul_(0.5)
            save_network(file, network, card.model_copy(update={"metrics": {}, "iterations": 2 * card.iterations}))
            written.append(file.read_bytes())
            return result

        return measure_and_replace

    for measurement in MEASUREMENTS:
        module, _, function = measurement.rpartition(".")
        monkeypatch.setattr(measurement, replace_after(getattr(importlib.import_module(module), function)))
    if name == "python":
        with pytest.raises(ArtifactError) as caught:
            mitlgan.evaluate(file, packs["bg"], split="train", samples=4, extractors=["efficientnet-lite0@32"], write_card=True, quiet=True)
        assert str(caught.value) == f"{file}: was replaced while it was measured; measure again"
    else:
        done = run(words, "--write-card", "--json", measures=True)
        assert done.code == 4
        assert done.json
        assert done.err.splitlines()[-1] == f"{file}: was replaced while it was measured; measure again"
    assert [file.read_bytes()] == written
    assert read_card(file).metrics == {}
