"""Wherever a figure is measured: an extractor cannot judge what a critic taught that looked through its network."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import tiny_runs

from mitlgan.artifacts.card import LayerCard, read_card
from mitlgan.artifacts.load_save import load_network, save_network
from mitlgan.compare.critic_networks import domain_critic_networks
from mitlgan.compare.domains import resolve_domains
from mitlgan.compare.dry_run import estimate_comparison
from mitlgan.compare.plan import ComparisonPlan, DomainSpec
from mitlgan.compare.runner import run_comparison
from mitlgan.compare.sweep import run_sweep
from mitlgan.compare.sweep_plan import SweepPlan
from mitlgan.errors import UsageError
from mitlgan.metrics.open_extractors import open_recipe_extractors, require_independent
from mitlgan.metrics.protocol import EvalProtocol
from mitlgan.recipe import Recipe, as_dict, parse_recipe, to_toml, with_overrides
from mitlgan.recipe.schema.judges import independent_extractor
from mitlgan.runtime.progress import PlainReporter
from mitlgan.stages.compose import compose
from mitlgan.stages.context import RunContext
from mitlgan.stages.evaluate import evaluate_artifact
from mitlgan.training.run_directory import Run

LITE0 = "efficientnet-lite0"
JUDGED = rf"^--extractor {LITE0}@32: cannot judge, because a critic looked through this network in training, .* such as --extractor mobilenet-v2$"


def taught(recipe: Recipe) -> Recipe:
    """The recipe with a projected critic."""
    critic = {"kind": "projected", "network": LITE0, "normalisation": "none", "image_channels": recipe.critic.image_channels}
    return with_overrides(recipe, critic=critic, evaluation__extractor="mobilenet-v2@32")


@pytest.fixture
def layer(artifacts: dict[str, Path], tmp_path: Path) -> Path:
    """A foreground generator whose card says that a projected critic taught it."""
    path = Path(shutil.copytree(artifacts["fg"].parent, tmp_path / "layer")) / "generator.safetensors"
    network, card = load_network(path)
    save_network(path, network, card.model_copy(update={"recipe": as_dict(taught(parse_recipe(card.recipe, "card")))}))
    return path


@pytest.fixture
def composition(composed: Run, layer: Path, tmp_path: Path) -> Run:
    """A finished composition over such a layer; its own critic looks through no network."""
    folder = Path(shutil.copytree(composed.path, tmp_path / "taught"))
    network, card = load_network(folder / "composer.safetensors")
    own = card.layers["fg"]
    record = {**own.card, "made_by": read_card(layer).recipe}
    layers = {**card.layers, "fg": LayerCard(**{**own.model_dump(), "card": record})}
    save_network(folder / "composer.safetensors", network, card.model_copy(update={"layers": layers}))
    return Run(folder)


def compare(environment: RunContext, **plan: Any) -> None:
    run_comparison(ComparisonPlan(**{"baselines": ("paste",), **plan}), environment)


def estimate(environment: RunContext, **plan: Any) -> None:
    estimate_comparison(ComparisonPlan(**{"baselines": ("paste",), **plan}), environment)


def test_the_networks_of_all_critics_on_the_way_to_an_artifact_count(layer: Path, composition: Run, artifacts: dict[str, Path]) -> None:
    assert read_card(layer).critic_networks() == {LITE0}
    assert composition.artifact_file is not None
    assert read_card(composition.artifact_file).critic_networks() == {LITE0}
    assert read_card(artifacts["scene"]).critic_networks() == frozenset()
    start = read_card(artifacts["fg"])
    record = {"made_by": read_card(layer).recipe, "kimg": 1.0}
    for parent in (record, {"made_by": start.recipe, "parent": record}):
        assert start.model_copy(update={"parent": parent}).critic_networks() == {LITE0}


@pytest.mark.parametrize("name", [LITE0, f"{LITE0}@32", "timm:tf_efficientnet_lite0", "timm:tf_efficientnet_lite0@64"])
def test_every_name_and_size_of_the_network_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"^--extractor {re.escape(name)}: cannot judge") as refusal:
        require_independent(name, {LITE0})
    assert refusal.value.exit_code == 2
    require_independent("mobilenet-v2", {LITE0})
    require_independent(name, {"mobilenet-v2"})
    assert independent_extractor({LITE0, "mobilenet-v2"}) is None
    with pytest.raises(UsageError, match=r"--extractor inception$"):
        require_independent(name, {LITE0, "mobilenet-v2"})


@pytest.mark.parametrize("recipe", [None, "x", 3, [], {}, {"critic": None}, {"critic": "projected"}, {"critic": {"kind": "projected"}}])
def test_a_card_from_anywhere_may_hold_anything_for_a_recipe(recipe: Any, artifacts: dict[str, Path]) -> None:
    card = read_card(artifacts["fg"]).model_copy(update={"parent": {"made_by": recipe, "parent": "none"}})
    networks = card.critic_networks()
    assert networks <= {"None"}
    require_independent(LITE0, networks)
    with pytest.raises(UsageError, match=r"--extractor mobilenet-v2$"):
        require_independent(LITE0, {*networks, LITE0, "another"})


def test_evaluate(layer: Path, composition: Run, packs: dict[str, Path]) -> None:
    assert composition.artifact_file is not None
    for artifact, role, names in ((layer, "fg", [f"{LITE0}@32"]), (composition.artifact_file, "scene", [])):  # named, and of the composition's recipe
        with pytest.raises(UsageError, match=JUDGED):
            evaluate_artifact(artifact, data=str(packs[role]), extractors=names)


def test_an_extractor_of_a_recipe_that_does_not_decide_is_left_out_in_one_line() -> None:
    lines: list[str] = []
    names = (f"{LITE0}@32", "mobilenet-v2@32")
    opened = open_recipe_extractors(EvalProtocol(extractor=names[0]), names, critic_networks={"mobilenet-v2"}, say=lines.append)
    assert list(opened) == [names[0]]
    (line,) = lines
    assert line.startswith("measured without the recipe's mobilenet-v2@32: cannot judge, because a critic looked through this network in training")


def test_the_best_of_a_training_is_not_chosen_by_it(layer: Path, artifacts: dict[str, Path], packs: dict[str, Path], environment: RunContext) -> None:
    recipe = with_overrides(tiny_runs.recipe("scene", packs["scene"], compose=True), evaluation__best_by="kid")
    with pytest.raises(UsageError, match=JUDGED):
        compose(recipe, {"fg": layer, "bg": artifacts["bg"]}, environment)


def test_sweep(packs: dict[str, Path], tmp_path: Path) -> None:
    plain = tiny_runs.recipe("fg", packs["fg"])
    for name, recipe in (("plain", plain), ("taught", taught(plain))):
        (tmp_path / f"{name}.toml").write_text(to_toml(with_overrides(recipe, name=name)))
    plan = SweepPlan([str(tmp_path / "plain.toml"), str(tmp_path / "taught.toml")], extractors=[f"{LITE0}@32"])
    with pytest.raises(UsageError, match=JUDGED):
        run_sweep(plan, tmp_path / "out", PlainReporter("sweep"))
    assert not (tmp_path / "out").exists()


def plans(composition: Run, composed: Run, layers: dict[str, Path], packs: dict[str, Path], folder: Path) -> dict[str, dict[str, Any]]:
    """Comparisons in which one arm was or would be taught by the extractor's network."""
    scenes = taught(tiny_runs.recipe("scene", packs["scene"], updates=1))
    (folder / "scenes.toml").write_text(to_toml(scenes))
    composing = tiny_runs.recipe("scene", packs["scene"], compose=True)
    (folder / "compose.toml").write_text(to_toml(composing))
    (folder / "taught.toml").write_text(to_toml(with_overrides(taught(composing), evaluation__extractor="mobilenet-v2@32")))
    return {
        "finished": {"composed": composition.path},
        "baseline": {"composed": composed.path, "baselines": (str(folder / "scenes.toml"),)},
        "layer": {"recipe": str(folder / "compose.toml"), "layers": layers},
        "composition": {"recipe": str(folder / "taught.toml"), "extractors": (f"{LITE0}@32",), "layers": layers},
        "domain": {
            "recipe": str(folder / "compose.toml"), "domains": (DomainSpec("one", str(layers["fg"]), str(packs["bg"]), str(packs["scene"])),),
            "bg_recipe": str(folder / "bg.toml"),
        },
    }  # fmt: skip


@pytest.mark.parametrize("arm", ["finished", "baseline", "layer", "composition", "domain"])
@pytest.mark.parametrize("measure", [compare, estimate])
def test_compare(
    arm: str,
    measure: Callable[..., Any],
    composition: Run,
    composed: Run,
    layer: Path,
    artifacts: dict[str, Path],
    packs: dict[str, Path],
    environment: RunContext,
    tmp_path: Path,
) -> None:
    (tmp_path / "bg.toml").write_text(to_toml(tiny_runs.recipe("bg", packs["bg"])))
    plan = plans(composition, composed, {"fg": layer, "bg": artifacts["bg"]}, packs, tmp_path)[arm]
    with pytest.raises(UsageError, match=JUDGED):
        measure(environment, **plan)
    assert not list(environment.root.glob("*/*")), "nothing was trained"


def test_a_comparison_without_such_a_critic_has_no_network_to_avoid(composed: Run, environment: RunContext) -> None:
    plan = ComparisonPlan(composed=composed.path)
    (setup,) = resolve_domains(plan, environment.root)
    assert domain_critic_networks(plan, setup) == frozenset()
