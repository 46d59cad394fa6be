"""Which artifact is a layer, where none is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from helpers import tiny_runs

from mitlgan.errors import ArtifactError
from mitlgan.stages import default_layers
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import resume


def test_the_newest_artifact_of_a_role_and_size_is_taken_else_the_shipped_one(
    packs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "runs"
    environment = tiny_runs.run_context(root)
    monkeypatch.setattr(default_layers, "shipped_folder", lambda folder: tmp_path / folder)
    with pytest.raises(
        ArtifactError, match=r"--fg: no generator of 8 px under .* or shipped; run `mitlgan pretrain fg --out .*` first, or name an artifact"
    ):
        default_layers.default_layer(root, "fg", 8)
    first = pretrain(tiny_runs.recipe("fg", packs["fg"]), environment)
    assert first.artifact_file is not None
    second = pretrain(tiny_runs.recipe("fg", packs["fg"], seed=6), environment)
    pretrain(tiny_runs.recipe("bg", packs["bg"]), environment)
    assert default_layers.default_layer(root, "fg", 8) == second.artifact_file
    resume(first.path, environment)  # the newest is that which was written last
    assert default_layers.default_layer(root, "fg", 8) == first.artifact_file
    (root / "pretrain" / "broken-001").mkdir()
    shutil.copyfile(first.recipe_file, root / "pretrain" / "broken-001" / "recipe.toml")
    (root / "pretrain" / "broken-001" / "generator.safetensors").write_bytes(b"no artifact")
    assert default_layers.default_layer(root, "fg", 8) == first.artifact_file
    shipped = tmp_path / "pretrained" / "fg-16" / "generator.safetensors"
    shipped.parent.mkdir(parents=True)
    shutil.copyfile(first.artifact_file, shipped)
    assert default_layers.default_layer(root, "fg", 16) == shipped
    # A composition by mattes cannot use foregrounds without one, however new they are.
    recommended = tmp_path / "pretrained" / "modern-fg-8" / "generator.safetensors"
    recommended.parent.mkdir()
    shutil.copyfile(first.artifact_file, recommended)
    assert default_layers.default_layer(root, "fg", 8, with_alpha=True) == recommended
    assert default_layers.default_layer(root, "bg", 8, with_alpha=True).parent.parent.name == "pretrain", "places need no matte"
