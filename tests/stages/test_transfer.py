"""Transfer to a user's own pictures: what goes on, what is frozen, the new critic, augmentation below a number of pictures, resume, refusals."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import tiny_runs

from mitlgan.artifacts.card import read_card, read_weights_hash
from mitlgan.artifacts.load_save import load_network, save_network
from mitlgan.artifacts.safetensors_io import read_tensors
from mitlgan.errors import ArtifactError, MitlganError, Stopped, UsageError
from mitlgan.networks import build_generator
from mitlgan.recipe import Recipe, as_dict, load_recipe, parse_recipe, with_overrides
from mitlgan.runtime.progress import ignore_message
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import resume
from mitlgan.stages.transfer import default_transfer_recipe, with_transfer
from mitlgan.training.checkpoint import list_checkpoints
from mitlgan.training.run_directory import Run

AUGMENT = {"probability": "auto", "speed_kimg": 0.1, "target": 0.01, "below_pictures": 13}


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's own backgrounds: as many pictures as the packs of the layers have, and other ones."""
    return tiny_runs.pack(tmp_path_factory.mktemp("mine") / "mine.npy", seed=9)


def recipe(source: Path, *, updates: float = 4, **change: Any) -> Recipe:
    """A transfer to backgrounds; its own [generator] and [critic] are none that any test has."""
    tree = as_dict(tiny_runs.recipe("bg", source, updates=updates, keep_kimg=[0], checkpoints_kept=99, checkpoint_iterations=1))
    tree["generator"]["latent_dim"], tree["critic"]["widths"] = 7, [3, 3]
    return with_overrides(parse_recipe({**tree, "transfer": {"freeze": 1, "new_critic_first_kimg": 0.008}, "augment": AUGMENT}, "tiny"), **change)


def artifact_of(run: Run) -> Path:
    path = run.artifact_file
    assert path is not None
    return path


def critic_tensors(path: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in read_tensors(path)[0].items() if name.startswith("critic.")}


def test_generator_and_kept_critic_go_on_and_its_first_convolutions_stay(pretrained: dict[str, Run], mine: Path, tmp_path: Path) -> None:
    source = pretrained["bg"]
    context = tiny_runs.run_context(tmp_path)
    run = pretrain(recipe(mine), context, start=artifact_of(source))
    first, _ = load_network(run.list_kept_artifacts()[0])
    parent, card = load_network(artifact_of(source))
    assert all(torch.equal(first.state_dict()[name], tensor) for name, tensor in parent.state_dict().items())
    kept = critic_tensors(list_checkpoints(source.path)[-1])
    begun, ended = (critic_tensors(list_checkpoints(run.path)[index]) for index in (0, -1))
    assert all(torch.equal(begun[name], tensor) for name, tensor in kept.items())
    assert {name for name in kept if torch.equal(ended[name], kept[name])} >= {name for name in kept if ".to_4px." in name}
    assert not any(torch.equal(ended[name], kept[name]) for name in kept if ".to_2px." in name)
    assert run.read_inputs().keys() == {"start", "critic"}
    written = run.load_recipe()
    assert (written.generator, written.critic) == (card.generator, source.load_recipe().critic)
    assert written.transfer is None
    assert written.critic_start is not None
    assert written.critic_start.freeze == 1
    assert written.training.critic_first_kimg is None
    assert read_card(artifact_of(run)).parent["tensors_sha256"] == read_weights_hash(artifact_of(source))
    assert f"its critic goes on from {source.path / 'critic' / 'critic.safetensors'}; frozen convolutions: 1" in tiny_runs.said(context)


def test_without_a_kept_critic_a_new_one_learns_alone_first(pretrained: dict[str, Run], mine: Path, tmp_path: Path) -> None:
    start = tmp_path / "shipped" / "generator.safetensors"
    start.parent.mkdir()
    shutil.copy(artifact_of(pretrained["bg"]), start)
    context = tiny_runs.run_context(tmp_path)
    run = pretrain(recipe(mine), context, start=start)
    written = run.load_recipe()
    assert (written.critic_start, written.transfer, written.training.critic_first_kimg) == (None, None, 0.008)
    assert written.critic.widths == (3, 3)
    assert run.read_inputs().keys() == {"start"}
    assert [row["generator_grad_norm"] == 0 for row in tiny_runs.read_stats(run)] == [True, False, False, False]
    assert "no critic is kept with it\na new critic begins and learns alone for the first 0.008 kimg" in tiny_runs.said(context)


def test_a_new_critic_that_would_learn_alone_to_the_end_is_refused(pretrained: dict[str, Run], mine: Path, tmp_path: Path) -> None:
    start = tmp_path / "shipped" / "generator.safetensors"
    start.parent.mkdir()
    shutil.copy(artifact_of(pretrained["bg"]), start)
    short = recipe(mine, transfer__new_critic_first_kimg=1.0)
    message = r"^transfer.new_critic_first_kimg is 1, and training.kimg 0\.\d+: only the critic would learn, and the generator never; shorten the first"
    with pytest.raises(UsageError, match=message):
        pretrain(short, tiny_runs.run_context(tmp_path), start=start)
    assert not (tmp_path / "pretrain").exists()
    assert with_transfer(short, artifact_of(pretrained["bg"]), None, ignore_message)[1] is not None, "the kept critic does not learn alone"


def test_a_critic_of_another_objective_is_left(pretrained: dict[str, Run], mine: Path) -> None:
    context = tiny_runs.run_context(mine.parent)
    form = recipe(mine, objective={"kind": "minimax", "critic_steps": 2})
    changed, critic = with_transfer(form, artifact_of(pretrained["bg"]), None, context.reporter.say)
    assert critic is None
    assert changed.training.critic_first_kimg == 0.008
    assert 'was trained by objective.kind = "wgan_gp", this recipe has "minimax"' in tiny_runs.said(context)
    _, critic = with_transfer(form, artifact_of(pretrained["bg"]), pretrained["bg"].path, context.reporter.say)
    assert critic == pretrained["bg"].path, "one that is asked for is taken"


@pytest.mark.parametrize("at", [1, 2, 5])
def test_a_killed_one_goes_on_to_the_same_bytes(
    at: int, pretrained: dict[str, Run], mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The adaptive augmentation looks at every fourth update of the critic, which is every second iteration."""
    form, start = recipe(mine, updates=8, training__shared_fakes=True), artifact_of(pretrained["bg"])
    straight = pretrain(form, tiny_runs.run_context(tmp_path / "straight"), start=start)
    with monkeypatch.context() as patch:
        tiny_runs.before_step(patch, tiny_runs.send(signal.SIGTERM), at=at)
        with pytest.raises(Stopped):
            pretrain(form, tiny_runs.run_context(tmp_path / "stopped"), start=start)
    resumed = resume(tiny_runs.only_run(tmp_path / "stopped").path, tiny_runs.run_context(tmp_path))
    tiny_runs.assert_same_trace(straight, resumed)
    assert read_weights_hash(artifact_of(straight)) == read_weights_hash(artifact_of(resumed))
    assert max(row.get("augment_probability", 0.0) for row in tiny_runs.read_stats(resumed)) > 0


@pytest.mark.parametrize(("below", "is_augmented"), [(13, True), (12, False), (None, True)])
def test_only_small_sets_are_augmented(below: int | None, is_augmented: bool, pretrained: dict[str, Run], mine: Path, tmp_path: Path) -> None:
    context = tiny_runs.run_context(tmp_path)
    run = pretrain(recipe(mine, updates=2, augment__below_pictures=below), context, start=artifact_of(pretrained["bg"]))
    assert any("augment_sign" in row for row in tiny_runs.read_stats(run)) == is_augmented
    assert ("no augmentation: 12 pictures, and augment.below_pictures is 12" in tiny_runs.said(context)) == (not is_augmented)


def test_what_cannot_be_gone_on_from(pretrained: dict[str, Run], composed: Run, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each in one line that begins with the option, before pictures are read or a run directory is created."""
    monkeypatch.setattr("mitlgan.stages.ladder.open_recipe_data", lambda *_, **__: pytest.fail("it read pictures"))
    start, card = artifact_of(pretrained["bg"]), read_card(artifact_of(pretrained["bg"]))
    damaged, shifted = tmp_path / "damaged.safetensors", tmp_path / "range" / "generator.safetensors"
    damaged.write_bytes(start.read_bytes()[:-7])
    shifted.parent.mkdir()
    assert card.generator is not None
    save_network(shifted, build_generator(card.generator, card.size_px), card.model_copy(update={"value_range": (0.0, 1.0)}))
    larger = with_overrides(recipe(mine), size_px=16, generator__widths=[6, 6], critic={"widths": [4], "dropout": [0.0]})
    cases: list[tuple[Recipe, Path, str]] = [
        (recipe(mine), artifact_of(pretrained["fg"]), "was trained as fg; give a generator of role bg"),
        (recipe(mine), artifact_of(composed), "is a composer; a transfer goes on from a generator"),
        (recipe(mine), pretrained["bg"].path / "critic" / "critic.safetensors", "is a critic; a transfer goes on from a generator"),
        (recipe(mine), shifted, "its values lie in [0.0, 1.0]"),
        (larger, start, "makes 8 px, the recipe 16; give a generator of 16 px, or one of 8 px to a recipe that grows"),
        (recipe(mine), damaged, ""),
        (recipe(mine), tmp_path / "none.safetensors", ""),
    ]
    for form, path, message in cases:
        with pytest.raises(MitlganError) as refused:
            pretrain(form, tiny_runs.run_context(tmp_path / "runs"), start=path)
        assert message in str(refused.value)
        assert str(refused.value).startswith(f"--from {path}: " if message else str(path))
        assert refused.value.exit_code == 4
    with pytest.raises(UsageError, match=r"^--from: the recipe tiny-bg goes on from a trained generator"):
        pretrain(recipe(mine), tiny_runs.run_context(tmp_path / "runs"))
    colored = with_overrides(
        tiny_runs.recipe("fg", tiny_runs.pack(tmp_path / "fg.npy", fourth="alpha")), generator__image_channels=4, critic__image_channels=4
    )
    monkeypatch.undo()
    other = pretrain(colored, tiny_runs.run_context(tmp_path / "other"))
    with pytest.raises(ArtifactError, match=r"^--critic .*scores 8 px in 4 channels, the generator makes 8 px in 3; give one that fits"):
        pretrain(recipe(mine), tiny_runs.run_context(tmp_path / "runs"), start=start, critic=other.path)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("critic", "freeze", "most"), [({"widths": [4, 6], "dropout": 0.0}, 3, 2), ({"kind": "mlp", "widths": [6]}, 1, 0)])
def test_no_more_convolutions_are_frozen_than_the_critic_has(
    critic: dict[str, Any], freeze: int, most: int, packs: dict[str, Path], mine: Path, tmp_path: Path
) -> None:
    source = pretrain(with_overrides(tiny_runs.recipe("bg", packs["bg"], updates=1), critic=critic), tiny_runs.run_context(tmp_path / "first"))
    with pytest.raises(
        UsageError, match=rf"^transfer\.freeze is {freeze}, but the critic of .* has {most} convolutions; add --set transfer\.freeze={most}$"
    ):
        pretrain(recipe(mine, transfer__freeze=freeze), tiny_runs.run_context(tmp_path / "runs"), start=artifact_of(source))
    assert not (tmp_path / "runs").exists()
    run = pretrain(recipe(mine, updates=1, transfer__freeze=most), tiny_runs.run_context(tmp_path / "runs"), start=artifact_of(source))
    written = load_recipe(str(run.recipe_file))
    assert (0 if written.critic_start is None else written.critic_start.freeze) == most


def test_a_composition_has_nothing_to_transfer(packs: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match=r"\[transfer\] goes on with a trained generator"):
        with_overrides(tiny_runs.recipe("scene", packs["scene"], compose=True), transfer={"freeze": 1})


@pytest.mark.parametrize("role", ["fg", "bg"])
def test_the_shipped_layers_go_on_by_default(role: str) -> None:
    """`pretrain ROLE --from pretrained/...` without a recipe; three channels as well as four, and growing to 64 px."""
    for name in (f"modern-{role}-32", f"{role}-32"):
        start = Path(__file__).parents[2] / "pretrained" / name / "generator.safetensors"
        assert default_transfer_recipe(role, start) == f"few/{role}-32"
        changed, critic = with_transfer(load_recipe(f"few/{role}-32"), start, None, print)
        assert changed.generator == read_card(start).generator
        assert changed.critic.image_channels == read_card(start).image_channels
        assert critic is None
        assert changed.augment is not None
        assert (changed.augment.probability, changed.augment.below_pictures) == ("auto", 1000)
    larger = load_recipe(f"few/{role}-64")
    grown, _ = with_transfer(larger, Path(__file__).parents[2] / "pretrained" / f"modern-{role}-32" / "generator.safetensors", None, print)
    assert grown.generator == larger.generator
    assert default_transfer_recipe("scene", start) is None


def test_the_shipped_critic_goes_on_with_its_generator() -> None:
    start = Path(__file__).parents[2] / "pretrained" / "modern-fg-wide-32" / "generator.safetensors"
    changed, critic = with_transfer(load_recipe("few/fg-32"), start, None, print)
    assert critic == start.parent / "critic" / "critic.safetensors"
    assert (changed.generator, changed.critic) == (read_card(start).generator, read_card(critic).critic)
    assert changed.critic_start is not None
    assert (changed.critic_start.freeze, changed.training.critic_first_kimg) == (1, None)
