"""Layers of a domain are pretrained by the recipes that belong to its composition, and checked before any training."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import images, tiny_runs

from mitlgan.artifacts import loaded_artifact
from mitlgan.artifacts.known_artifacts import PLAN_FILE
from mitlgan.compare.domains import DomainSetup, _with_mattes_of_run, check_pictures, resolve_domains
from mitlgan.compare.layer_chains import LayerChain
from mitlgan.compare.plan import ComparisonPlan, DomainSpec, parse_domain
from mitlgan.errors import ArtifactError, DataError, UsageError
from mitlgan.recipe import load_recipe, mattes_source, shipped_folder, to_toml, with_full_mattes, with_overrides
from mitlgan.runtime.progress import ignore_message
from mitlgan.training.run_directory import Run, is_run_of


def resolved(plan: ComparisonPlan, root: Path) -> DomainSetup:
    (setup,) = resolve_domains(plan, root)
    return setup


def test_settings_are_passed_on_to_whom_they_concern(tmp_path: Path) -> None:
    settings = ("training.kimg=0.5", "generator.leak=0.1", "composer.translator.blocks=2", "seed=9")
    plan = ComparisonPlan(domains=(DomainSpec("a", "demo", "demo", "demo"),), settings=settings)
    setup = resolved(plan, tmp_path)
    assert (setup.recipe.training.kimg, setup.recipe.seed, setup.recipe.composer.translator.blocks) == (0.5, 9, 2)  # type: ignore[union-attr]
    for training in setup.pretrainings.values():
        assert (training.recipe.training.kimg, training.recipe.seed, training.recipe.generator.leak) == (0.5, 9, 0.1)  # type: ignore[union-attr]


@pytest.mark.parametrize("setting", ["generator.leak=0.1", "generator.latent_dim=64", "generator.kind=dcgan"])
def test_settings_of_generators_where_none_is_trained_are_refused(setting: str, tmp_path: Path) -> None:
    fg, bg = (str(shipped_folder("pretrained") / f"modern-{role}-32") for role in ("fg", "bg"))
    plan = ComparisonPlan(domains=(DomainSpec("a", fg, bg, "demo"),), recipe="recommended/compose-32", settings=("seed=9", setting))
    message = rf"^--set {setting.partition('=')[0]}: has no effect, since every layer of a --domain is an artifact; leave it out$"
    with pytest.raises(UsageError, match=message):
        resolve_domains(plan, tmp_path)
    assert resolved(replace(plan, settings=("seed=9",)), tmp_path).recipe.seed == 9
    one_is_trained = replace(plan, domains=(*plan.domains, DomainSpec("b", "demo", bg, "demo")), settings=("seed=9", "generator.leak=0.1"))
    setups = resolve_domains(one_is_trained, tmp_path)
    assert [chain.recipe.generator.leak for setup in setups for chain in setup.pretrainings.values()] == [0.1]  # type: ignore[union-attr]


def test_recipes_that_the_user_names(tmp_path: Path) -> None:
    spec = DomainSpec("a", "demo", "demo", "demo")
    plan = ComparisonPlan(domains=(spec,), recipe="recommended/compose-32", fg_recipe="recommended/fg-32-wide", bg_recipe="thesis-32/pretrain_bg")
    pretrainings = resolved(plan, tmp_path).pretrainings
    assert pretrainings["fg"].recipe.generator == load_recipe("recommended/fg-32-wide").generator
    assert pretrainings["bg"].recipe.generator == load_recipe("thesis-32/pretrain_bg").generator
    for wrong, message in (
        (replace(plan, fg_recipe="thesis-32/pretrain_bg"), "--fg-recipe thesis-32/pretrain_bg: is for `pretrain` of bg; give one for `pretrain fg`"),
        (replace(plan, bg_recipe="absent"), "--bg-recipe absent: no such file or shipped recipe"),
        (replace(plan, fg_recipe="thesis-32/pretrain_fg"), "--domain a: composer.fusion.kind: alpha needs layers with a matte, but fg has 3 channels"),
        (replace(plan, bg_recipe="recommended/bg-64"), "--domain a: demo would be trained at 64 px, the scenes at 32"),
        (
            replace(plan, fg_recipe="few/fg-32"),
            "--fg-recipe few-fg: goes on from a trained generator, which a --domain does not name; give an artifact",
        ),
        (replace(plan, fg_recipe=None, settings=("size_px=48",)), "no shipped recipe of a fg of 48 px belongs to"),
    ):
        with pytest.raises(UsageError) as caught:
            resolve_domains(wrong, tmp_path)
        assert message in str(caught.value)
    with pytest.raises(UsageError, match="--fg-recipe, --bg-recipe: pretrain the layers of a --domain"):
        ComparisonPlan(fg_recipe="recommended/fg-32")


def test_pictures_without_a_matte_are_refused_before_any_training(packs: dict[str, Path]) -> None:
    recipe = tiny_runs.recipe("fg", packs["bg"])
    matted = with_overrides(recipe, generator__image_channels=4, critic__image_channels=4)

    def setup(source: Path) -> DomainSetup:
        return DomainSetup("pets", matted, {}, {"fg": LayerChain("x", (with_overrides(matted, data__source=str(source)),))})

    check_pictures([setup(packs["fg"])], ignore_message)
    with pytest.raises(
        DataError, match=r"^--domain pets: fg needs a matte, but the pictures of .* have no transparency; cut them by `mitlgan data split`"
    ):
        check_pictures([setup(packs["fg"]), setup(packs["bg"])], ignore_message)


def test_the_layers_keep_their_order(tmp_path: Path) -> None:
    setup = DomainSetup("a", load_recipe("recommended/three-32"), {"cat": tmp_path}, {}, names=("bg", "cat", "hat"))
    assert list(setup.in_order({"cat": tmp_path, "hat": tmp_path, "bg": tmp_path})) == ["bg", "cat", "hat"]
    assert list(DomainSetup("", setup.recipe, {}, {}).in_order({"fg": tmp_path, "bg": tmp_path})) == ["fg", "bg"]


def test_layers_of_a_domain_may_be_artifacts_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = shipped_folder("pretrained")
    files = {role: shipped / f"modern-{role}-32" / "generator.safetensors" for role in ("fg", "bg")}
    monkeypatch.setattr(loaded_artifact, "fetch_hub_artifact", lambda path: files[str(path).rpartition("/")[2][:2]])
    for text in ("d=hf://me/fg,hf://me/bg,demo", f"d=hf://me/fg#sha256={'0' * 64},hf://me/bg@v1,demo", "d=bg=hf://me/bg,fg=hf://me/fg@v1,demo"):
        setup = resolved(ComparisonPlan(domains=(parse_domain(text),), recipe="recommended/compose-32"), tmp_path)
        assert (dict(setup.layers), setup.pretrainings) == (files, {})


def test_artifacts_of_another_role_or_size_are_refused_before_any_training(tmp_path: Path) -> None:
    shipped = shipped_folder("pretrained")
    fg, bg = (shipped / f"modern-{role}-32" / "generator.safetensors" for role in ("fg", "bg"))
    of_32 = ComparisonPlan(recipe="recommended/compose-32")
    for plan, message in (
        (replace(of_32, domains=(DomainSpec("a", str(bg), str(bg), "demo"),)), "--domain a: --fg {}: was trained as bg; give one that"),
        (replace(of_32, domains=(parse_domain(f"a=demo,{fg},demo"),)), "--domain a: --bg {}: was trained as fg; give one that"),
        (replace(of_32, layers={"fg": bg, "bg": bg}), "--fg {}: was trained as bg; give one that"),
        (replace(of_32, recipe="recommended/compose-64", layers={"fg": fg, "bg": bg}), "--fg {}: makes 32 px, the composition 64 px"),
    ):
        with pytest.raises(ArtifactError) as caught:
            resolve_domains(plan, tmp_path)
        assert str(caught.value).startswith(tuple(message.format(path) for path in (fg, bg)))
    assert list(resolved(replace(of_32, layers={"bg": bg, "a": fg}), tmp_path).layers) == ["bg", "a"]  # other names take any role


def test_checkpoints_are_refused_as_layers_before_any_training(composed: Run, pretrained: dict[str, Run], tmp_path: Path) -> None:
    """Trainings are found again by the hashes of their layers, and a checkpoint's network has another one with each number of threads."""
    artifacts = tiny_runs.layers(pretrained)
    steps = {role: Path(f"{run.path}@0") for role, run in pretrained.items()}
    of_files = ComparisonPlan(recipe=str(composed.recipe_file))
    for role, other in (("fg", "bg"), ("bg", "fg")):
        file = pretrained[role].path / "checkpoints" / "000000000.safetensors"
        both = {role: steps[role], other: artifacts[other]}
        domain = DomainSpec("d", **{name: str(path) for name, path in both.items()}, scene="demo")
        for plan, option in (
            (replace(of_files, layers=both), f"--{role} {file}"),
            (replace(of_files, layers={"one": steps[role], "two": artifacts[other]}), f"--layer one={file}"),
            (ComparisonPlan(composed=composed.path, layers={role: steps[role]}), f"--{role} {file}"),
            (ComparisonPlan(composed=composed.path, layers={role: file, other: artifacts[other]}), f"--{role} {file}"),
            (replace(of_files, domains=(domain,)), f"--domain d: --{role} {file}"),
        ):
            with pytest.raises(
                ArtifactError, match=r"give a finished run, or a step of which an artifact was kept \(training\.artifact_kimg\)$"
            ) as caught:
                resolve_domains(plan, tmp_path)
            assert str(caught.value).startswith(f"{option}: is a checkpoint, ")
    finished = {role: Path(f"{run.path}@3") for role, run in pretrained.items()}  # the last step's is an artifact
    assert dict(resolved(replace(of_files, layers=finished), tmp_path).layers) == artifacts


def test_a_composition_of_a_moved_project_has_the_pictures_of_its_project_in_a_comparison(
    composed: Run, packs: dict[str, Path], tmp_path: Path
) -> None:
    project = tmp_path / "new"
    before, now = tmp_path / "old" / "layers" / "scene", images.fill(project / "layers" / "scene", 4, size=(8, 8))
    plan = {"request": {}, "listing_sha256": "", "count": 4, "family": "few", "size_px": 32, "lengths_kimg": {}, "places": [str(tmp_path / "old")]}
    (project / PLAN_FILE).write_text(json.dumps({"schema_version": 2, **plan}))
    run = Run(Path(shutil.copytree(composed.path, project / "runs" / "compose" / composed.path.name)))
    run.recipe_file.write_text(run.recipe_file.read_text().replace(str(packs["scene"]), str(before)))
    named, elsewhere = f"data.source={tmp_path / 'mine'}", tmp_path / "elsewhere"
    for options, source in (
        (ComparisonPlan(composed=run.path), now),
        (ComparisonPlan(composed=run.path, budgets=(1.0,)), now),
        (ComparisonPlan(composed=run.path, budgets=(1.0,), settings=(named,)), tmp_path / "mine"),
        (ComparisonPlan(composed=run.path, budgets=(1.0,), settings=(f"data.source={before}",)), before),  # the place that the run names, too
        (ComparisonPlan(composed=run.path, budgets=(1.0,), settings=(f"data={{source='{before}'}}",)), before),
        (ComparisonPlan(composed=run.path, budgets=(1.0,), settings=("seed=9",)), now),
        (ComparisonPlan(composed=run.path, budgets=(1.0,), data=str(before)), before),
        (ComparisonPlan(composed=run.path, budgets=(1.0,), data=str(elsewhere)), elsewhere),
    ):
        said: list[str] = []
        (setup,) = resolve_domains(options, tmp_path, said.append)
        assert setup.recipe.data.source == str(source)
        expected = [f"{project}: was moved or copied: its pictures are those of {now}, no longer {before}"]
        assert said == (expected if source == now else [])


@pytest.mark.parametrize("out", ["runs", "out/runs", "runs/arms", "link"])
def test_mattes_of_an_earlier_composition_are_those_of_a_folder_around_its_runs(out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which recorded a relative path; where that folder has none, it is that of the working folder. What it means is said if it is not here."""
    run, lines = Run(tmp_path / "A" / out / "compose" / "x-001"), list[str]()
    recipe = with_overrides(load_recipe("recommended/compose-32"), composer__placement__mattes="m")
    (tmp_path / "A" / "m").mkdir(parents=True)
    for name in ("B", "disk"):
        (tmp_path / name).mkdir()
    if out == "link":
        (tmp_path / "A" / out).symlink_to(tmp_path / "disk")
    run.path.mkdir(parents=True)
    run.recipe_file.write_text(to_toml(recipe))
    for here, said in (("A", 0), ("B", 1)):
        monkeypatch.chdir(tmp_path / here)
        assert mattes_source(_with_mattes_of_run(recipe, run, lines.append)) == str(tmp_path / "A" / "m")
        assert len(lines) == said
        assert is_run_of(run, with_full_mattes(recipe), None) == (here == "A")
    assert lines == [f"{run.path}: its composer.placement.mattes m is taken as seen from {tmp_path / 'A'}"]
    (tmp_path / "A" / "m").rmdir()
    assert mattes_source(_with_mattes_of_run(recipe, run, lines.append)) == str(tmp_path / "B" / "m")
    for source in ("scenes", str(tmp_path), None):
        assert mattes_source(_with_mattes_of_run(with_overrides(recipe, composer__placement__mattes=source), run, lines.append)) == source
    assert len(lines) == 1
