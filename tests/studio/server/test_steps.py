"""Steps of a run in the studio's catalogue."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import tiny_runs

from mitlgan.artifacts import loaded_artifact
from mitlgan.errors import ArtifactError
from mitlgan.recipe import shipped_folder
from mitlgan.stages.context import RunContext
from mitlgan.stages.pretrain import pretrain
from mitlgan.studio.catalogue import Catalogue
from mitlgan.studio.settings import StudioSettings


def test_a_step_is_offered_by_its_name(packs: dict[str, Path], environment: RunContext) -> None:
    recipe = tiny_runs.recipe("fg", packs["fg"], updates=3, artifact_iterations=1, checkpoint_iterations=1, checkpoints_kept=9)
    run = pretrain(recipe, environment).path
    for path in sorted((run / "kept").glob("*/generator.safetensors"))[1:2]:  # of step 2 the checkpoint alone is left
        path.unlink()
    catalogue = Catalogue(StudioSettings(artifacts=tuple(Path(f"{run}@{step}") for step in (1, 2))))
    assert {answer.name for answer in catalogue.refresh()} == {f"{run.name}@1", f"{run.name}@2"}
    for answer in catalogue.refresh():  # a picture of it is recognized when it comes back
        assert catalogue.id_of_tensors(catalogue.load(answer.id).artifact.tensors_sha256) == answer.id
    with pytest.raises(ArtifactError, match="this step was not kept; there are 0 to 3 by 1"):
        Catalogue(StudioSettings(artifacts=(Path(f"{run}@9"),)))


def test_an_artifact_of_the_hub_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    file = shipped_folder("pretrained") / "modern-fg-32" / "generator.safetensors"
    monkeypatch.setattr(loaded_artifact, "fetch_hub_artifact", lambda path: file)
    (answer,) = Catalogue(StudioSettings(artifacts=(Path("hf://me/fg"),))).refresh()
    assert answer.size_px == 32
