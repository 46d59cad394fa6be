"""What a training writes at its end goes into the run's folder, which is not made again if somebody has removed it."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mitlgan.artifacts.load_save import load_network
from mitlgan.errors import ResourceError
from mitlgan.recipe import Recipe
from mitlgan.training import export
from mitlgan.training.run_directory import Run


@pytest.mark.parametrize("folder", ["run", "run/steps/8px"])
@pytest.mark.parametrize("removed", ["nothing", "before the critic", "before the generator"])
def test_a_run_that_is_removed_is_not_made_again_by_its_networks(
    folder: str, removed: str, fg_recipe: Recipe, artifacts: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, card = load_network(artifacts["fg"])
    run = Run(tmp_path / "run")
    run.path.mkdir()

    def recalibrate(ema: Any, seed: int) -> Any:
        if removed == "before the generator":
            shutil.rmtree(run.path)
        return ema

    monkeypatch.setattr(export, "recalibrate_batchnorm", recalibrate)
    monkeypatch.setattr(export, "make_training_card", lambda *_: card)
    if removed == "before the critic":
        run.path.rmdir()
    state: Any = SimpleNamespace(critic=network, ema=network)
    setup: Any = None
    if removed == "nothing":
        export.export_networks(tmp_path / folder, run, fg_recipe, setup, state)
        assert {path.parent.name for path in run.path.rglob("*.safetensors")} == {"critic", Path(folder).name}
        return
    with pytest.raises(ResourceError, match="the folder is gone; another program has removed or moved it"):
        export.export_networks(tmp_path / folder, run, fg_recipe, setup, state)
    assert not list(tmp_path.iterdir())
