"""Which artifact is a layer, where none is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import tiny

from mitlgan import layers, stages
from mitlgan.errors import ArtifactError


def test_the_newest_artifact_of_a_role_and_size_is_taken_else_the_shipped_one(
    packs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "runs"
    environment = tiny.environment(root)
    monkeypatch.setattr(layers, "shipped", lambda folder: tmp_path / folder)
    with pytest.raises(ArtifactError, match=r"--fg: no generator of 8 px under .* or shipped; run `mitlgan pretrain fg` first, or name an artifact"):
        layers.layer_artifact(root, "fg", 8)
    first = stages.pretrain(tiny.recipe("fg", packs["fg"]), environment)
    assert first.artifact is not None
    second = stages.pretrain(tiny.recipe("fg", packs["fg"], seed=6), environment)
    stages.pretrain(tiny.recipe("bg", packs["bg"]), environment)
    assert layers.layer_artifact(root, "fg", 8) == second.artifact
    stages.resume(first.path, environment)  # the newest is that which was written last
    assert layers.layer_artifact(root, "fg", 8) == first.artifact
    (root / "pretrain" / "broken-001").mkdir()
    shutil.copyfile(first.recipe, root / "pretrain" / "broken-001" / "recipe.toml")
    (root / "pretrain" / "broken-001" / "generator.safetensors").write_bytes(b"no artifact")
    assert layers.layer_artifact(root, "fg", 8) == first.artifact
    shipped = tmp_path / "pretrained" / "fg-16" / "generator.safetensors"
    shipped.parent.mkdir(parents=True)
    shutil.copyfile(first.artifact, shipped)
    assert layers.layer_artifact(root, "fg", 16) == shipped
    # A composition by mattes cannot use foregrounds without one, however new they are.
    recommended = tmp_path / "pretrained" / "modern-fg-8" / "generator.safetensors"
    recommended.parent.mkdir()
    shutil.copyfile(first.artifact, recommended)
    assert layers.layer_artifact(root, "fg", 8, matted=True) == recommended
    assert layers.layer_artifact(root, "bg", 8, matted=True).parent.parent.name == "pretrain", "places need no matte"
