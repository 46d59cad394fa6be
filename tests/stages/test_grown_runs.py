"""Pretrainings that grow from a smaller generator: how they begin, resume, end and are kept, and what is refused before they begin."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import tiny_runs
from helpers.baselines import baseline_recipe

from mitlgan.artifacts.card import Card, read_card, read_weights_hash
from mitlgan.artifacts.load_save import load_layer, load_network, save_network
from mitlgan.artifacts.loaded_artifact import load_artifact
from mitlgan.artifacts.safetensors_io import read_tensors
from mitlgan.compare.pretraining import pretraining_costs
from mitlgan.errors import ArtifactError, MitlganError, Stopped, UsageError
from mitlgan.networks import build_generator
from mitlgan.networks.resample import resize_image
from mitlgan.recipe import MlpGeneratorRecipe, Recipe, as_dict, ladder_steps, parse_recipe, with_overrides
from mitlgan.runtime.json_files import read_jsonl
from mitlgan.stages.compose import compose
from mitlgan.stages.initial_critic import has_new_block, load_initial_critic, with_critic_parent
from mitlgan.stages.initial_generator import with_parent
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import finish_at_checkpoint, resume
from mitlgan.stages.setup import NEW_BLOCK_KEY, make_setup
from mitlgan.training.checkpoint import list_checkpoints
from mitlgan.training.run_directory import Run

SIZE_PX = 2 * tiny_runs.SIZE_PX
GROWN_PARENT = {"latent_dim": 9, "widths": [5]}
GROWN = {"kind": "grown", "parent": GROWN_PARENT, "parent_px": 8, "coarse_widths": [5], "fine_width": 3}
SHARPENED = {"kind": "sharpened", "parent": GROWN_PARENT, "parent_px": 8, "width": 5, "blocks": 1}


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Packs of twice the size."""
    folder = tmp_path_factory.mktemp("larger")
    return {
        "fg": tiny_runs.pack(folder / "fg.npy", fourth="alpha", size_px=SIZE_PX),
        "bg": tiny_runs.pack(folder / "bg.npy", seed=1, size_px=SIZE_PX),
    }


def recipe(role: str, packs: dict[str, Path], *, updates: float = 3, generator: dict[str, Any] | None = None, **change: Any) -> Recipe:
    """One that grows from 8 px; it names another parent than it will get."""
    tree = as_dict(tiny_runs.recipe(role, packs[role], updates=updates, keep_kimg=[0], checkpoints_kept=9))
    form = generator if generator and "kind" in generator else {**GROWN, **(generator or {})}
    tree["critic"]["image_channels"] = form.get("image_channels", 3)
    return with_overrides(parse_recipe({**tree, "size_px": SIZE_PX, "generator": form}, "tiny"), **change)


def parent_of(pretrained: dict[str, Run], role: str = "bg") -> Path:
    path = pretrained[role].artifact_file
    assert path is not None
    return path


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory, larger: dict[str, Path], pretrained: dict[str, Run]) -> Run:
    """A finished one, of backgrounds."""
    return pretrain(recipe("bg", larger), tiny_runs.run_context(tmp_path_factory.mktemp("child")), start=parent_of(pretrained))


def test_step_0_is_the_enlarged_parent_to_the_bit(child: Run, pretrained: dict[str, Run]) -> None:
    parent, first = load_artifact(parent_of(pretrained)), load_artifact(child.list_kept_artifacts()[0])
    z = first.latents(range(8))
    with torch.no_grad():
        assert torch.equal(first.network(z), resize_image(parent.network(z), SIZE_PX, "bicubic"))
    assert child.artifact_file is not None
    assert not torch.equal(load_artifact(child.artifact_file).network(z), first.network(z))


def test_its_artifact_holds_the_parent_and_says_which(child: Run, pretrained: dict[str, Run], tmp_path: Path) -> None:
    assert child.artifact_file is not None
    alone = tmp_path / "generator.safetensors"
    shutil.copy(child.artifact_file, alone)
    shutil.copy(child.artifact_file.with_name("times.json"), tmp_path)
    assert load_artifact(alone).sample([0]).shape == (1, 3, SIZE_PX, SIZE_PX)
    card, parent = read_card(alone), read_card(parent_of(pretrained))
    assert card.generator is not None
    assert card.generator.kind == "grown"
    assert card.generator.parent == parent.generator
    assert card.latent_dims == parent.latent_dims
    assert card.parent["tensors_sha256"] == read_weights_hash(parent_of(pretrained)) == child.read_inputs()["start"]
    assert (card.parent["kimg"], card.parent["cpu_seconds"], card.parent["size_px"]) == (parent.kimg, parent.cpu_seconds, 8)
    assert card.parent["made_by"] == parent.recipe
    assert read_card(parent_of(pretrained)).parent == {}


@pytest.mark.parametrize("generator", [{}, {"parent_rate": 0.0}, {"parent_norm": "batch"}, SHARPENED])
@pytest.mark.parametrize("at", [1, 3])
def test_a_killed_one_goes_on_to_the_same_bytes(
    generator: dict[str, Any], at: int, larger: dict[str, Path], pretrained: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 1 in the critic's own time, at 3 after it."""
    form = recipe(
        "bg", larger, updates=5, generator=generator, training__critic_first_kimg=2 * tiny_runs.PER_UPDATE / 1000, training__shared_fakes=True
    )
    straight = pretrain(form, tiny_runs.run_context(tmp_path / "straight"), start=parent_of(pretrained))
    with monkeypatch.context() as patch:
        tiny_runs.before_step(patch, tiny_runs.send(signal.SIGTERM), at=at)
        with pytest.raises(Stopped):
            pretrain(form, tiny_runs.run_context(tmp_path / "stopped"), start=parent_of(pretrained))
    (stopped,) = (tmp_path / "stopped").glob("*/*")
    resumed = resume(stopped, tiny_runs.run_context(tmp_path))
    tiny_runs.assert_same_trace(straight, resumed)
    assert straight.artifact_file is not None
    assert resumed.artifact_file is not None
    assert read_weights_hash(straight.artifact_file) == read_weights_hash(resumed.artifact_file)
    assert read_card(resumed.artifact_file).parent == read_card(straight.artifact_file).parent != {}


@pytest.mark.parametrize("shared", [None, True])
def test_the_critic_learns_alone_first(shared: bool | None, larger: dict[str, Path], pretrained: dict[str, Run], tmp_path: Path) -> None:
    form = recipe(
        "bg", larger, training__critic_first_kimg=2 * tiny_runs.PER_UPDATE / 1000, training__shared_fakes=shared, training__checkpoint_iterations=1
    )
    run = pretrain(form, tiny_runs.run_context(tmp_path), start=parent_of(pretrained))
    first, _, second, third = (read_tensors(path)[0] for path in list_checkpoints(run.path))
    weights = [name for name in first if name.startswith("generator.") and name.endswith("weight")]
    assert all(torch.equal(first[name], second[name]) for name in weights)
    assert not any(torch.equal(second[name], third[name]) for name in weights if "to_image.last" in name or "difference.last" in name)
    critics = [name for name in first if name.startswith("critic.") and name.endswith("weight")]
    assert not any(torch.equal(first[name], second[name]) for name in critics)
    lines = list(read_jsonl(run.stats_file))
    assert [line["generator_grad_norm"] == 0 for line in lines] == [True, True, False]
    assert len({frozenset(line) for line in lines}) == 1


def test_a_frozen_parent_stays_to_the_bit_and_a_slow_one_moves_less(larger: dict[str, Path], pretrained: dict[str, Run], tmp_path: Path) -> None:
    parent, _ = load_network(parent_of(pretrained))
    moved = {}
    for rate in (0.0, 0.01, 1.0):
        form = recipe("bg", larger, generator={"parent_rate": rate}, training__ema_halflife_kimg=0.0)
        run = pretrain(form, tiny_runs.run_context(tmp_path / str(rate)), start=parent_of(pretrained))
        assert run.artifact_file is not None
        network, _ = load_network(run.artifact_file)
        weight = network.get_parameter("stages.base.dense.weight")
        moved[rate] = float((weight - parent.get_parameter("stages.base.dense.weight")).abs().max())
    assert moved[0.0] == 0
    assert 0 < moved[0.01] < 0.1 * moved[1.0]


def test_a_sharpened_one_learns_from_pairs_and_keeps_its_parent(larger: dict[str, Path], pretrained: dict[str, Run], tmp_path: Path) -> None:
    run = pretrain(recipe("bg", larger, generator=SHARPENED), tiny_runs.run_context(tmp_path), start=parent_of(pretrained))
    assert run.artifact_file is not None
    last, parent, first = load_artifact(run.artifact_file), load_artifact(parent_of(pretrained)), load_artifact(run.list_kept_artifacts()[0])
    z = first.latents(range(8))
    with torch.no_grad():
        assert torch.equal(first.network(z), resize_image(parent.network(z), SIZE_PX, "bicubic"))
    below = parent.network.state_dict()
    assert all(torch.equal(last.network.state_dict()[name], tensor) for name, tensor in below.items())
    assert last.card.generator is not None
    assert last.card.generator.kind == "sharpened"
    assert all(line["own_loss"] > 0 for line in read_jsonl(run.stats_file))
    longer = recipe("bg", larger, generator={**SHARPENED, "roughness": 0.0, "pairs_weight": 1.0})
    again = pretrain(longer, tiny_runs.run_context(tmp_path / "again"), start=run.artifact_file)
    assert torch.equal(load_artifact(again.list_kept_artifacts()[0]).sample([0, 1]), last.sample([0, 1]))
    with pytest.raises(UsageError, match=r'^--from: generator\.kind = "sharpened" needs the smaller generator'):
        with_parent(recipe("bg", larger, generator=SHARPENED), None)


def test_a_grown_one_can_be_trained_on(child: Run, larger: dict[str, Path], tmp_path: Path) -> None:
    assert child.artifact_file is not None
    again = pretrain(recipe("bg", larger), tiny_runs.run_context(tmp_path), start=child.artifact_file, critic=child.path)
    first, before = load_artifact(again.list_kept_artifacts()[0]), load_artifact(child.artifact_file)
    assert torch.equal(first.sample([0, 1]), before.sample([0, 1]))
    assert again.read_inputs().keys() == {"start", "critic"}
    assert again.artifact_file is not None
    card, own = read_card(again.artifact_file), read_card(child.artifact_file)
    assert card.parent["tensors_sha256"] == read_weights_hash(child.artifact_file)
    assert [training["kimg"] for training in card.training_records()] == [card.kimg, own.kimg, own.parent["kimg"]]


def test_the_critic_is_kept_and_can_be_begun_with(child: Run, larger: dict[str, Path], pretrained: dict[str, Run], tmp_path: Path) -> None:
    file = child.path / "critic" / "critic.safetensors"
    card = read_card(file)
    assert (card.kind, card.role, card.size_px, card.latent_dims, card.generator) == ("critic", "bg", SIZE_PX, {}, None)
    last = {name: tensor for name, tensor in read_tensors(list_checkpoints(child.path)[-1])[0].items() if name.startswith("critic.")}
    network, _ = load_network(file)
    assert network.state_dict().keys() == {name.removeprefix("critic.") for name in last}
    assert all(torch.equal(network.state_dict()[name.removeprefix("critic.")], tensor) for name, tensor in last.items())
    shipped = tmp_path / "shipped"
    shutil.copytree(file.parent, shipped / "critic")
    form = recipe("bg", larger)
    for path in (file, file.parent, shipped):
        assert load_initial_critic(path, form, print).keys() == network.state_dict().keys()
    run = pretrain(form, tiny_runs.run_context(tmp_path), start=parent_of(pretrained), critic=shipped)
    begun = read_tensors(list_checkpoints(run.path)[0])[0]
    assert all(torch.equal(begun[name], tensor) for name, tensor in last.items())


def test_another_critic_or_no_critic_is_refused(child: Run, larger: dict[str, Path], pretrained: dict[str, Run]) -> None:
    form = recipe("bg", larger)
    with pytest.raises(ArtifactError, match=r"^--critic .*is a generator; give a critic"):
        load_initial_critic(parent_of(pretrained), form, print)
    with pytest.raises(ArtifactError, match=r"^--critic .*another architecture than the recipe's \[critic\] at 16 px"):
        load_initial_critic(pretrained["bg"].path / "critic", form, print)
    file = child.path / "critic" / "critic.safetensors"
    with pytest.raises(ArtifactError, match="is a critic, which makes no pictures"):
        load_artifact(file)
    with pytest.raises(ArtifactError, match="is a critic; give a generator"):
        load_layer(file, "bg", SIZE_PX)
    with pytest.raises(ArtifactError, match="is a critic; a generator grows from a generator"):
        with_parent(form, file)


def saved(path: Path, card: Card, **change: Any) -> Path:
    """An artifact of newly initialised weights whose card says what it is told to."""
    torch.manual_seed(0)
    assert card.generator is not None
    card = card.model_copy(update=change)
    path.parent.mkdir(parents=True)
    assert card.generator is not None
    save_network(path, build_generator(card.generator, card.size_px), card)
    return path


def test_what_cannot_be_grown_from(
    larger: dict[str, Path], pretrained: dict[str, Run], composed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each in one line that begins with the option, before pictures are read or a run directory is created."""
    monkeypatch.setattr("mitlgan.stages.ladder.open_recipe_data", lambda *_, **__: pytest.fail("it read pictures"))
    environment, form, card = tiny_runs.run_context(tmp_path / "runs"), recipe("bg", larger), read_card(parent_of(pretrained))
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(parent_of(pretrained).read_bytes()[:-7])
    mlp = MlpGeneratorRecipe(latent_dim=2, widths=(4,))
    wide = {"size_px": 16, "generator": parse_generator({"latent_dim": 2, "widths": [6, 6]})}
    assert composed.artifact_file is not None
    cases: list[tuple[Path, str]] = [
        (parent_of(pretrained, "fg"), "was trained as fg; give a parent of role bg"),
        (composed.artifact_file, "is a composer; a generator grows from a generator"),
        (saved(tmp_path / "grey" / "g.safetensors", card, generator=card.generator.model_copy(update={"image_channels": 4}), image_channels=4),
         "makes 4 channels, the recipe's [generator] 3"),
        (saved(tmp_path / "range" / "g.safetensors", card, value_range=(0.0, 1.0)), "its values lie in [0.0, 1.0]"),
        (saved(tmp_path / "same" / "g.safetensors", card, **wide), "makes 16 px, which does not grow to size_px = 16; give a parent of 8 or 4 px"),
        (saved(tmp_path / "mlp" / "g.safetensors", card, generator=mlp), "has no convolutional features, which growing needs"),
        (damaged, ""),
        (tmp_path / "none.safetensors", ""),
    ]  # fmt: skip
    for path, message in cases:
        with pytest.raises(MitlganError) as refused:
            pretrain(form, environment, start=path)
        text = str(refused.value)
        assert message in text
        assert text.startswith(f"--from {path}: " if message else str(path))
        assert "\n" not in text
        assert refused.value.exit_code == 4
    for size_px in (12, 24, 64):
        generator = {**GROWN, "parent_px": size_px // 2, "parent": {"kind": "upsampled", "widths": [4]}}
        critic = {"widths": [4], "dropout": [0.0]}
        other = parse_recipe({**as_dict(form), "size_px": size_px, "critic": critic, "generator": generator}, "tiny")
        with pytest.raises(ArtifactError, match=rf"^--from .*makes 8 px, which does not grow to size_px = {size_px}"):
            pretrain(other, environment, start=parent_of(pretrained))
    with pytest.raises(UsageError, match=r'^--from: generator.kind = "grown" needs the smaller generator'):
        pretrain(form, environment)
    assert not (tmp_path / "runs").exists()


def parse_generator(tree: dict[str, Any]) -> Any:
    return parse_recipe({**as_dict(tiny_runs.recipe("bg", Path("none"))), "size_px": 16, "generator": tree}, "tiny").generator


def test_a_run_can_be_ended_early(larger: dict[str, Path], pretrained: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    form = recipe("bg", larger, updates=5)
    tiny_runs.before_step(monkeypatch, tiny_runs.send(signal.SIGTERM), at=2)
    with pytest.raises(Stopped):
        pretrain(form, tiny_runs.run_context(tmp_path), start=parent_of(pretrained))
    (stopped,) = tmp_path.glob("*/*")
    assert Run(stopped).artifact_file is None
    run = finish_at_checkpoint(stopped, tiny_runs.run_context(tmp_path))
    assert run.artifact_file is not None
    assert read_card(run.artifact_file).iterations == 3
    assert read_card(run.path / "critic" / "critic.safetensors").iterations == 3
    assert run.read_state() == "done"
    assert run.read_status()["kimg"] == 3 * tiny_runs.PER_UPDATE / 1000
    short = pretrain(recipe("bg", larger, updates=3), tiny_runs.run_context(tmp_path / "short"), start=parent_of(pretrained))
    assert short.artifact_file is not None
    assert read_weights_hash(run.artifact_file) == read_weights_hash(short.artifact_file)


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory, larger: dict[str, Path], pretrained: dict[str, Run], child: Run) -> dict[str, Run]:
    """A grown foreground with its matte and a grown background; the foreground's parent has a matte, too."""
    root = tmp_path_factory.mktemp("family")
    small = with_overrides(
        tiny_runs.recipe("fg", tiny_runs.pack(root / "fg.npy", fourth="alpha")), generator__image_channels=4, critic__image_channels=4
    )
    parent = pretrain(small, tiny_runs.run_context(root / "parent"))
    form = recipe("fg", larger, generator={"image_channels": 4, "parent": {**GROWN_PARENT, "image_channels": 4}})
    return {"fg": pretrain(form, tiny_runs.run_context(root), start=parent.artifact_file), "bg": child}


@pytest.mark.parametrize(
    "composer",
    [
        {"fusion": {"kind": "alpha", "harmonise": True}, "placement": {"scale": [0.5, 1.0], "margin": 0.2, "flip": True}},
        {"fusion": {"kind": "matte-features"}},
        {"fusion": {"kind": "alpha"}, "adapters": "channels"},
    ],
)
def test_grown_layers_are_composed_and_stay_as_they_are(composer: dict[str, Any], family: dict[str, Run], tmp_path: Path) -> None:
    scenes = tiny_runs.pack(tmp_path / "scene.npy", fourth="matte", size_px=SIZE_PX)
    tree = as_dict(tiny_runs.recipe("scene", scenes, compose=True))
    light = {"translator": {"kind": "light", "unshuffle": 2, "width": 4, "blocks": 1}}
    run = compose(
        parse_recipe({**tree, "size_px": SIZE_PX, "composer": {**light, **composer}}, "tiny"), tiny_runs.layers(family), tiny_runs.run_context(tmp_path)
    )
    assert run.artifact_file is not None
    card = read_card(run.artifact_file)
    for name, layer in card.layers.items():
        path = family[name].artifact_file
        assert path is not None
        own = read_card(path)
        assert layer.sha256_before == layer.sha256_after == read_weights_hash(path)
        assert layer.generator == own.generator
        assert layer.total_spent("kimg") == own.kimg + own.parent["kimg"] == sum(training["kimg"] for training in own.training_records())
        assert layer.total_spent("cpu_seconds") > own.cpu_seconds
    stages_of_all = load_artifact(run.artifact_file).layers([0, 1])
    assert stages_of_all.output.shape == (2, 3, SIZE_PX, SIZE_PX)
    assert stages_of_all.matte is not None
    assert 0 < float(stages_of_all.matte.mean()) < 1
    foreground = load_artifact(tiny_runs.layers(family)["fg"]).sample([0, 1])
    if "adapters" not in composer:
        assert torch.equal(stages_of_all.layers["fg"], foreground)


def test_a_baseline_of_grown_layers_grows_from_their_parents_size(family: dict[str, Run], tmp_path: Path) -> None:
    scenes = tiny_runs.pack(tmp_path / "scene.npy", fourth="matte", size_px=SIZE_PX)
    tree = as_dict(tiny_runs.recipe("scene", scenes, compose=True))
    composition = parse_recipe(
        {**tree, "size_px": SIZE_PX, "composer": {"fusion": {"kind": "alpha"}, "translator": {"kind": "light", "width": 4, "blocks": 1}}}, "tiny"
    )
    run = compose(composition, tiny_runs.layers(family), tiny_runs.run_context(tmp_path))
    assert run.artifact_file is not None
    card = read_card(run.artifact_file)
    before = pretraining_costs(tiny_runs.layers(family), "cpu-seconds", True, print)
    assert before == {name: layer.total_spent("cpu_seconds") for name, layer in card.layers.items()}
    assert pretraining_costs(tiny_runs.layers(family), "macs", True, print).keys() == before.keys()
    wanted = baseline_recipe(composition, card, resource="cpu-seconds", extra=sum(before.values()))
    parent = read_card(tiny_runs.layers(family)["bg"]).generator
    assert parent is not None
    assert wanted.generator == parent.parent  # type: ignore[union-attr]
    assert [step.size_px for step in ladder_steps(wanted)] == [8, SIZE_PX]
    assert wanted.training.limit_s == pytest.approx(max(0.1, card.cpu_seconds + sum(before.values())), abs=0.06)


CRITIC = {"kind": "grown", "parent": {"widths": [4], "dropout": [0.0]}, "parent_px": 8, "width": 3}


def test_a_critic_grows_from_its_smaller_self(
    larger: dict[str, Path], pretrained: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a run or from what was kept of it; resumed to the same bytes; kept, and begun with again."""
    form = recipe("bg", larger, updates=4, critic=CRITIC)
    small, start = pretrained["bg"], parent_of(pretrained)
    straight = pretrain(form, tiny_runs.run_context(tmp_path / "straight"), start=start, critic=small.path / "critic")
    known = {name: tensor for name, tensor in read_tensors(list_checkpoints(small.path)[-1])[0].items() if name.startswith("critic.stages.")}
    begun = read_tensors(list_checkpoints(straight.path)[0])[0]
    grown = {name.replace("stages.to_4px.", "stages.from_16px.parent."): tensor for name, tensor in known.items()}
    assert all(torch.equal(begun[name], tensor) for name, tensor in grown.items())
    assert not begun["critic.stages.from_16px.share"].any()
    assert read_tensors(list_checkpoints(straight.path)[-1])[0]["critic.stages.from_16px.share"].any()
    with monkeypatch.context() as patch:
        tiny_runs.before_step(patch, tiny_runs.send(signal.SIGTERM), at=2)
        with pytest.raises(Stopped):
            pretrain(form, tiny_runs.run_context(tmp_path / "stopped"), start=start, critic=small.path)
    (stopped,) = (tmp_path / "stopped").glob("*/*")
    tiny_runs.assert_same_trace(straight, resume(stopped, tiny_runs.run_context(tmp_path)))
    card = read_card(straight.path / "critic" / "critic.safetensors")
    assert card.critic is not None
    assert card.critic.kind == "grown"
    assert card.critic.parent == tiny_runs.recipe("bg", larger["bg"]).critic
    again = pretrain(form, tiny_runs.run_context(tmp_path / "again"), start=straight.artifact_file, critic=straight.path / "critic")
    last = read_tensors(list_checkpoints(straight.path)[-1])[0]
    first = read_tensors(list_checkpoints(again.path)[0])[0]
    assert all(torch.equal(first[name], tensor) for name, tensor in last.items() if name.startswith("critic.stages."))


def test_a_new_block_learns_although_the_kept_convolutions_are_frozen(
    larger: dict[str, Path], pretrained: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resumed, too; a critic that has its block already is frozen with it, as are the runs of earlier versions."""
    form, share = recipe("bg", larger, updates=4, critic=CRITIC, critic_start={"freeze": 1}), "critic.stages.from_16px.share"
    start, small = parent_of(pretrained), pretrained["bg"].path
    with pytest.raises(UsageError, match=r"^critic_start\.freeze is 9, but the critic has . convolutions"):
        pretrain(with_overrides(form, critic_start__freeze=9), tiny_runs.run_context(tmp_path / "refused"), start=start, critic=small)
    straight = pretrain(form, tiny_runs.run_context(tmp_path / "straight"), start=start, critic=small)
    (first, _), (last, _) = (read_tensors(list_checkpoints(straight.path)[index]) for index in (0, -1))
    frozen = [name for name in first if name.startswith("critic.stages.from_16px.parent.")]
    assert all(torch.equal(first[name], last[name]) for name in frozen)
    assert last[share].any()
    with monkeypatch.context() as patch:
        tiny_runs.before_step(patch, tiny_runs.send(signal.SIGTERM), at=2)
        with pytest.raises(Stopped):
            pretrain(form, tiny_runs.run_context(tmp_path / "stopped"), start=start, critic=small)
    (stopped,) = (tmp_path / "stopped").glob("*/*")
    tiny_runs.assert_same_trace(straight, resume(stopped, tiny_runs.run_context(tmp_path)))
    for new_block in (False, True):
        setup = make_setup(form, torch.nn.Identity(), None, {}, has_new_block=new_block)  # type: ignore[arg-type]
        assert setup.critic.get_parameter("stages.from_16px.share").requires_grad == new_block
        assert setup.header.get(NEW_BLOCK_KEY, False) == new_block
    names = {name.removeprefix("critic.") for name in last if name.startswith("critic.")}
    assert not has_new_block(form, names)
    assert has_new_block(form, names - {"stages.from_16px.share"})
    assert not has_new_block(form, {})


def test_what_a_critic_cannot_grow_from(larger: dict[str, Path], pretrained: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mitlgan.stages.ladder.open_recipe_data", lambda *_, **__: pytest.fail("it read pictures"))
    form, environment, start = recipe("bg", larger, critic=CRITIC), tiny_runs.run_context(tmp_path / "runs"), parent_of(pretrained)
    with pytest.raises(UsageError, match=r'^--critic: critic.kind = "grown" needs the smaller critic'):
        pretrain(form, environment, start=start)
    with pytest.raises(ArtifactError, match=r"^--critic .*is a generator; give a critic"):
        pretrain(form, environment, start=start, critic=start)
    wide = with_overrides(form, size_px=64, generator__parent_px=32, generator__parent={"kind": "upsampled", "widths": [4]}, critic__parent_px=32)
    with pytest.raises(ArtifactError, match=r"^--critic .*scores 8 px, which does not grow to size_px = 64; give a critic of 32 or 16 px"):
        with_critic_parent(wide, pretrained["bg"].path, print)
    with_alpha = recipe("fg", larger, generator={"image_channels": 4, "parent": {**GROWN_PARENT, "image_channels": 4}})
    four = with_overrides(with_alpha, critic={**CRITIC, "image_channels": 4, "parent": {"widths": [4], "dropout": [0.0], "image_channels": 4}})
    with pytest.raises(ArtifactError, match=r"^--critic .*scores 3 channels, the recipe's \[critic\] 4"):
        with_critic_parent(four, pretrained["bg"].path, print)
    assert not (tmp_path / "runs").exists()
