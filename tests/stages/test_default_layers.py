"""Which artifact is a layer, where none is named."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest
from helpers import tiny_runs

from mitlgan import networks
from mitlgan.errors import ArtifactError
from mitlgan.recipe import load_recipe, shipped_recipe_names
from mitlgan.stages import default_layers
from mitlgan.stages.pretrain import needs_trained_generator, pretrain
from mitlgan.stages.resume import resume

NONE_SHIPPED = [
    *(("recommended/compose-32", (f"size_px={size}",)) for size in (8, 16, 24, 256)),
    *(("thesis-32/compose", (f"size_px={size}",)) for size in (8, 24)),
]
"""Compositions to which no shipped recipe of a layer belongs: those by mattes are of 32, 64 and 128 px, the thesis' of powers of two from 16 px."""


def test_the_newest_artifact_of_a_role_and_size_is_taken_else_the_shipped_one(
    packs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "runs"
    environment = tiny_runs.run_context(root)
    monkeypatch.setattr(default_layers, "shipped_folder", lambda folder: tmp_path / folder)
    assert default_layers.default_layer(root, "fg", 8) is None
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


def cases() -> list[tuple[str, tuple[str, ...]]]:
    """Every shipped recipe of a composition, and sizes that none has."""
    shipped = [(name, ()) for name in sorted(shipped_recipe_names()) if load_recipe(name).composer is not None]
    return [*shipped, *((name, (f"size_px={size}",)) for name in ("thesis-32/compose", "recommended/compose-32") for size in (8, 16, 24, 64, 256))]


@pytest.mark.parametrize(("name", "settings"), cases())
def test_where_there_is_no_layer_the_pretraining_of_one_that_fits_is_named(
    name: str, settings: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command is taken at its word: its recipe and settings make a generator that the composition takes, from new networks."""
    monkeypatch.setattr(default_layers, "shipped_folder", lambda folder: tmp_path / folder)
    composition = load_recipe(name, settings)
    assert composition.composer is not None
    generators = {}
    for role, other in (("fg", "bg"), ("bg", "fg")):
        with pytest.raises(ArtifactError) as caught:
            default_layers.resolve_layers({other: tmp_path / "any"}, tmp_path / "my runs", composition)
        message = str(caught.value)
        kind = "generator with a matte" if (role, composition.composer.fusion.kind) == ("fg", "alpha") else "generator"
        start = f"--{role}: no {kind} of {composition.size_px} px under {tmp_path / 'my runs'} or shipped; "
        assert message.startswith(start)
        assert message.endswith(" first, or name an artifact")
        if "`" not in message:
            assert message.removeprefix(start) == f"pretrain one of {composition.size_px} px first, or name an artifact"
            continue
        words = shlex.split(message.split("`")[1])
        assert words[:4] == ["mitlgan", "pretrain", role, "--recipe"]
        assert words[-2:] == ["--out", str(tmp_path / "my runs")]
        recipe = load_recipe(words[4], [words[index + 1] for index, word in enumerate(words) if word == "--set"])
        assert (recipe.command, recipe.role, recipe.size_px, needs_trained_generator(recipe)) == ("pretrain", role, composition.size_px, False)
        assert recipe.generator is not None
        generators[role] = networks.build_generator(recipe.generator, recipe.size_px)
    assert bool(generators) is ((name, settings) not in NONE_SHIPPED)
    if generators and composition.composer.order is None:
        networks.check_composer(composition.composer, generators, composition.size_px)
