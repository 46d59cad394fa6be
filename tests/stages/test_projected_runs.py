"""Runs with a projected critic: equal bits after a resume, what their files hold, and what is refused."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import tiny_runs

from mitlgan.artifacts.card import read_card
from mitlgan.artifacts.load_save import load_network
from mitlgan.artifacts.loaded_artifact import load_artifact
from mitlgan.artifacts.markdown_card import markdown_card
from mitlgan.artifacts.safetensors_io import read_tensors, write_tensors
from mitlgan.compare.sweep import run_sweep
from mitlgan.compare.sweep_plan import SweepPlan
from mitlgan.errors import ArtifactError, Stopped, UsageError
from mitlgan.networks.feature_networks import efficientnet_lite0, frozen
from mitlgan.networks.feature_networks.spec import AbsentWeightsError
from mitlgan.recipe import Recipe, to_toml, with_overrides
from mitlgan.runtime.progress import PlainReporter
from mitlgan.stages.compose import compose
from mitlgan.stages.initial_critic import with_critic_parent
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import resume
from mitlgan.stages.transfer import with_transfer
from mitlgan.training.checkpoint import list_checkpoints
from mitlgan.training.run_directory import Run

LITE0 = "efficientnet-lite0"
CRITIC = {"kind": "projected", "network": LITE0, "input_px": 32, "width": 2}


def recipe(packs: dict[str, Path], role: str = "fg", **change: Any) -> Recipe:
    tiny = tiny_runs.recipe(role, packs[role], updates=change.pop("updates", 3))
    return with_overrides(tiny, critic=CRITIC, objective={"kind": "minimax"}, evaluation__extractor="mobilenet-v2@32", **change)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, packs: dict[str, Path]) -> Run:
    """A finished run; its critic looks through EfficientNet-Lite0, whose weights are on every machine."""
    return pretrain(recipe(packs), tiny_runs.run_context(tmp_path_factory.mktemp("projected")))


def artifact_of(run: Run) -> Path:
    assert run.artifact_file is not None
    return run.artifact_file


@pytest.mark.parametrize(
    "change", [{}, {"augment": {"policy": ["colour", "translation"]}, "training__shared_fakes": True, "training__precision": "bf16"}]
)
def test_a_stopped_and_resumed_run_equals_one_in_one_go_to_the_bit(
    change: dict[str, Any], packs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = pretrain(recipe(packs, **change), tiny_runs.run_context(tmp_path / "straight"))
    with monkeypatch.context() as patch:
        tiny_runs.before_step(patch, tiny_runs.send(signal.SIGTERM), at=1)
        with pytest.raises(Stopped):
            pretrain(recipe(packs, **change), tiny_runs.run_context(tmp_path / "stopped"))
    torch.manual_seed(99)  # no generator state is needed
    resumed = resume(tiny_runs.only_run(tmp_path / "stopped").path, tiny_runs.run_context(tmp_path))
    tiny_runs.assert_same_trace(straight, resumed)
    for file in ("generator.safetensors", "critic/critic.safetensors"):
        assert (straight.path / file).read_bytes() == (resumed.path / file).read_bytes()


def test_files_name_the_frozen_network_by_its_hash_and_do_not_hold_it(run: Run) -> None:
    identity = {"name": LITE0, "sha256": efficientnet_lite0.SPEC.sha256}
    (checkpoint,) = list_checkpoints(run.path)[-1:]
    tensors, header = read_tensors(checkpoint)
    own = [name for name in tensors if name.startswith("critic.")]
    assert own
    assert not [name for name in own if ".network." in name]
    assert any(".mix_scales." in name for name in own)
    assert header["critic_network"] == identity
    assert sum(file.stat().st_size for file in (checkpoint, run.path / "critic" / "critic.safetensors")) < 600_000
    for file in (artifact_of(run), run.path / "critic" / "critic.safetensors"):
        assert json.loads((file.parent / "card.json").read_text())["critic_network"] == identity
    assert read_card(artifact_of(run)).critic_networks() == {LITE0}
    assert f"| looked through by critics | {LITE0}, by which no figure may judge |" in markdown_card(load_artifact(artifact_of(run)))
    critic, card = load_network(run.path / "critic" / "critic.safetensors")
    assert (card.kind, tuple(critic(torch.zeros(2, 3, 8, 8)).shape)) == ("critic", (2,))


def test_a_critic_goes_on_from_one_of_its_family_alone(run: Run, packs: dict[str, Path], pretrained: dict[str, Run], tmp_path: Path) -> None:
    longer = recipe(packs, updates=1, name="on")
    going_on = pretrain(longer, tiny_runs.run_context(tmp_path), critic=run.path)
    first, _ = read_tensors(list_checkpoints(going_on.path)[0])
    given, _ = read_tensors(run.path / "critic" / "critic.safetensors")
    assert all(torch.equal(first[f"critic.{name}"], tensor) for name, tensor in given.items())
    for critic, own in ((pretrained["fg"].path, longer), (run.path / "critic", tiny_runs.recipe("fg", packs["fg"]))):
        with pytest.raises(ArtifactError, match="another architecture than the recipe's"):
            pretrain(own, tiny_runs.run_context(tmp_path / "refused"), critic=critic)
    grown = with_overrides(tiny_runs.recipe("fg", packs["fg"]), size_px=16, critic={"kind": "grown", "parent": {"kind": "thesis", "widths": [4, 6],
        "dropout": [0.0, 0.0]}, "parent_px": 8}, generator__widths=[6, 4])  # fmt: skip
    with pytest.raises(ArtifactError, match="has no convolutions of its own, which growing needs"):
        with_critic_parent(grown, run.path, print)
    assert not (tmp_path / "refused").exists()


def test_a_transfer_goes_on_with_it_as_it_is(run: Run, packs: dict[str, Path]) -> None:
    """What it looks through is frozen anyway, so nothing more of it is; a second extractor of the recipe may be its network."""
    few = with_overrides(tiny_runs.recipe("fg", packs["fg"]), objective={"kind": "minimax"}, critic__dropout=[0.0, 0.0], transfer={"freeze": 1},
        evaluation__extractor=["mobilenet-v2@32", f"{LITE0}@32"])  # fmt: skip
    lines: list[str] = []
    chosen, critic = with_transfer(few, artifact_of(run), None, lines.append)
    assert critic == run.path / "critic" / "critic.safetensors"
    assert (chosen.critic, chosen.critic_start) == (recipe(packs).critic, None)
    assert lines == [f"the critic of {critic} decides in place of the recipe's critic.kind", f"its critic goes on from {critic}"]
    alone, _ = with_transfer(with_overrides(few, training__critic_first_kimg=0.008), artifact_of(run), None, lines.append)
    assert alone.critic_start is not None  # else it would look like a new critic, which learns alone first
    assert alone.critic_start.freeze == 0
    with pytest.raises(UsageError, match=f"^--set transfer.freeze: has no effect, since what the critic of {critic} looks through is frozen anyway;"):
        with_transfer(few, artifact_of(run), None, lines.append, ["transfer.freeze=1"])
    with pytest.raises(UsageError, match=f'evaluation.extractor = "{LITE0}@32" cannot judge'):
        with_transfer(with_overrides(few, evaluation__extractor=f"{LITE0}@32"), artifact_of(run), None, lines.append)


def test_other_weights_of_the_network_are_refused(run: Run, packs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a later version of mitlgan might bring them."""
    before = str(efficientnet_lite0.SPEC.sha256)
    network = {**frozen.FEATURE_NETWORKS, LITE0: replace(efficientnet_lite0.SPEC, sha256="f" * 64)}
    monkeypatch.setattr(frozen, "FEATURE_NETWORKS", network)
    monkeypatch.setattr("mitlgan.networks.build.FEATURE_NETWORKS", network)
    told = rf"its critic looked through another frozen network, {LITE0} \({before[:12]}\), not {LITE0} \(f{{12}}\)"
    with pytest.raises(ArtifactError, match=f"^checkpoint: {told}"):
        resume(run.path, tiny_runs.run_context(tmp_path))
    for critic in (run.path, run.path / "critic"):
        with pytest.raises(ArtifactError, match=told):
            pretrain(recipe(packs), tiny_runs.run_context(tmp_path / "refused"), critic=critic)
    assert not (tmp_path / "refused").exists()
    assert load_network(artifact_of(run))[1].kind == "generator", "generators need no critic"


@pytest.mark.parametrize(
    ("stored", "message"), [(None, f"another frozen network, none, not {LITE0}"), ({"name": 3}, "its critic_network is not a name and a hash")]
)
def test_a_checkpoint_that_names_no_network_is_refused(stored: Any, message: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text((run.path / "recipe.toml").read_text())
    (tmp_path / "checkpoints").mkdir()
    tensors, header = read_tensors(list_checkpoints(run.path)[-1])
    del header["critic_network"], header["tensors_sha256"]
    header |= {} if stored is None else {"critic_network": stored}
    write_tensors(tmp_path / "checkpoints" / list_checkpoints(run.path)[-1].name, tensors, header)
    with pytest.raises(ArtifactError, match=message):
        resume(tmp_path, tiny_runs.run_context(tmp_path))


def test_absent_weights_are_refused_before_pictures_are_read(packs: dict[str, Path], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet_lite0, "packaged_file", lambda *_: None)
    wanted = f'^critic.network = "{LITE0}": its weights are absent; {efficientnet_lite0.INSTALL}$'
    nowhere = recipe(packs, data__source=str(tmp_path / "none.npy"))
    context = tiny_runs.run_context(tmp_path / "runs")
    scenes = with_overrides(
        tiny_runs.recipe("scene", packs["scene"], compose=True), critic={**CRITIC, "normalisation": "none"}, evaluation__extractor="mobilenet-v2"
    )
    (tmp_path / "r.toml").write_text(to_toml(nowhere))
    for start in (
        lambda: pretrain(nowhere, context),
        lambda: compose(scenes, {"fg": tmp_path / "none", "bg": tmp_path / "none"}, context),
        lambda: run_sweep(SweepPlan([str(tmp_path / "r.toml")], extractors=["digits"]), tmp_path / "sweep", PlainReporter("sweep")),
    ):
        with pytest.raises(AbsentWeightsError, match=wanted):
            start()
    assert not (tmp_path / "runs").exists()
    with pytest.raises(ArtifactError, match=f'cannot be built \\(critic.network = "{LITE0}": its weights are absent'):
        load_network(run.path / "critic" / "critic.safetensors")
