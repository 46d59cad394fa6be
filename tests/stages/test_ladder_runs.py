"""Runs up a ladder of sizes: how each step begins, what is written under which name, kills inside steps and between them, early ends, longer runs."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import tiny_runs
from PIL import Image

from mitlgan import networks
from mitlgan.artifacts.card import build_network, read_card, read_weights_hash
from mitlgan.artifacts.load_save import CRITIC_FILE, CRITIC_FOLDER, load_network
from mitlgan.artifacts.loaded_artifact import load_artifact
from mitlgan.artifacts.safetensors_io import read_tensors
from mitlgan.artifacts.summary import describe_recipe
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.errors import Stopped
from mitlgan.networks import Network
from mitlgan.networks.resample import resize_image
from mitlgan.recipe import Recipe, as_dict, ladder_steps, parse_recipe, with_overrides
from mitlgan.runtime.progress import ignore_message
from mitlgan.stages import training_run
from mitlgan.stages.initial_critic import load_initial_critic, load_trained_critic
from mitlgan.stages.ladder import step_folder
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import finish_at_checkpoint, resume
from mitlgan.stages.training_work import COUNTED
from mitlgan.training.checkpoint import list_checkpoints
from mitlgan.training.loop import TrainingLoop
from mitlgan.training.run_directory import Run

KIMG = tiny_runs.PER_UPDATE / 1000
UPDATES = (3, 3, 2)
FIRST_OF_STEP = (0, 3, 6)
SIZES = (8, 16, 32)
GROWTH = {"coarse_widths": [3], "fine_width": 2}


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the result's size."""
    return tiny_runs.pack(tmp_path_factory.mktemp("ladder") / "bg.npy", size_px=32)


def recipe(source: Path, role: str = "bg", *, critic: str = "new", **change: Any) -> Recipe:
    tree = as_dict(tiny_runs.recipe(role, source, checkpoint_iterations=1, checkpoints_kept=99, snapshot_iterations=2, shared_fakes=True))
    del tree["training"]["kimg"]
    steps = [{"size_px": size, "kimg": updates * KIMG} for size, updates in zip(SIZES, UPDATES, strict=True)]
    for step in steps[1:]:
        step |= {**GROWTH, "critic": critic, "critic_first_kimg": KIMG, "generator_rate": 5e-4, "critic_rate": 4e-4}  # type: ignore[operator]
    return with_overrides(parse_recipe({**tree, "size_px": 32, "grow": steps}, "tiny"), **change)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory, pack: Path) -> Run:
    """Finished without a stop."""
    return pretrain(recipe(pack), tiny_runs.run_context(tmp_path_factory.mktemp("straight")))


def artifact_of(run: Run) -> Path:
    path = run.artifact_file
    assert path is not None
    return path


def network_at(run: Run, iteration: int, step: Recipe, part: str = "generator") -> Network:
    """A network of a checkpoint, in eval mode."""
    tensors, _ = read_tensors(run.path / "checkpoints" / f"{iteration:09d}.safetensors")
    build: Callable[..., Network] = networks.build_generator if part == "generator" else networks.build_critic  # type: ignore[assignment]
    network = build(getattr(step, part), step.size_px)
    network.load_state_dict({name.removeprefix(f"{part}."): tensor for name, tensor in tensors.items() if name.startswith(f"{part}.")})
    return network.eval()


def test_each_step_begins_as_the_one_before_enlarged(straight: Run, pack: Path) -> None:
    steps = ladder_steps(recipe(pack))
    for index in (1, 2):
        before = load_artifact(straight.path / "steps" / f"{SIZES[index - 1]}px" / "generator.safetensors")
        z = before.latents(range(6))
        with torch.no_grad():
            grown, small = network_at(straight, FIRST_OF_STEP[index], steps[index])(z), before.network(z)
        assert torch.equal(grown, resize_image(small, SIZES[index], "bicubic"))
    assert load_artifact(artifact_of(straight)).sample([0]).shape == (1, 3, 32, 32)
    assert not (straight.path / "steps" / "32px").exists(), "the last step's artifact is the run's"


@pytest.mark.parametrize("critic", ["new", "grown"])
def test_a_ladder_is_described_as_it_was_trained(critic: str, straight: Run, pack: Path, tmp_path: Path) -> None:
    run = straight if critic == "new" else pretrain(recipe(pack, critic="grown"), tiny_runs.run_context(tmp_path))
    described = describe_recipe(run.load_recipe())["networks"]
    for part, file in (("generator", artifact_of(run)), ("critic", run.path / CRITIC_FOLDER / CRITIC_FILE)):
        account = {key: described[part][key] for key in ("parameters", "trainable")}
        trained = build_network(read_card(file), str(file))
        assert account == networks.count_parameters(trained)._asdict()
        assert account["parameters"] == sum(tensor.numel() for tensor in read_tensors(file)[0].values())
        assert described[part]["multiply_accumulates"] == networks.count_macs(trained, trained.input_shape)
    critic_of_the_first_step = ladder_steps(run.load_recipe())[0].critic
    assert described["critic"]["parameters"] > networks.count_parameters(networks.build_critic(critic_of_the_first_step, SIZES[0])).parameters


def test_statistics_snapshots_and_status_name_the_size(straight: Run) -> None:
    assert [row["size_px"] for row in tiny_runs.read_stats(straight)] == [8] * 3 + [16] * 3 + [32] * 2
    assert [row["iteration"] for row in tiny_runs.read_stats(straight)] == list(range(1, 9))
    assert [path.name for path in straight.list_snapshots()] == [
        "i00000000-0008px.png", "i00000001-0008px.png", "i00000002-0008px.png", "i00000003-0008px.png", "i00000003-0016px.png",
        "i00000004-0016px.png", "i00000006-0016px.png", "i00000006-0032px.png", "i00000007-0032px.png", "i00000008-0032px.png",
    ]  # fmt: skip
    with Image.open(straight.progress_file) as animation:
        assert animation.n_frames == 10
    widths = [Image.open(path).size[0] for path in straight.list_snapshots()]
    assert widths[3] < widths[4] < widths[7]
    status = straight.read_status()
    assert (status["state"], status["size_px"], status["iteration"]) == ("done", 32, 8)
    assert status["target_kimg"] == status["kimg"] == pytest.approx(8 * KIMG)


def test_rates_and_the_critics_own_time_are_those_of_the_step(straight: Run, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [row["generator_grad_norm"] == 0 for row in tiny_runs.read_stats(straight)] == [False] * 3 + [True, False, False] + [True, False]
    rates: list[tuple[float, float]] = []
    step = TrainingLoop.train_iteration

    def noting(self: TrainingLoop) -> dict[str, torch.Tensor]:
        result = step(self)
        if self.recipe.name != COUNTED:
            rates.append((self.state.generator_optimiser.param_groups[0]["lr"], self.state.critic_optimiser.param_groups[0]["lr"]))
        return result

    monkeypatch.setattr(TrainingLoop, "train_iteration", noting)
    pretrain(recipe(pack, generator_optimiser__schedule="linear"), tiny_runs.run_context(tmp_path))
    falls = [1, 2 / 3, 1 / 3]
    expected = [1e-3 * share for share in falls] + [5e-5 * share for share in falls] + [5e-5, 2.5e-5]
    assert [rate for rate, _ in rates] == pytest.approx(expected)  # of the parent's weights: a tenth
    assert [rate for _, rate in rates] == pytest.approx([1e-3] * 3 + [4e-4] * 5)


def test_cards_tell_the_steps_apart(straight: Run) -> None:
    card = read_card(artifact_of(straight))
    assert (card.size_px, card.generator and card.generator.kind, card.iterations) == (32, "grown", 8)
    assert [record["kimg"] for record in card.training_records()] == pytest.approx([updates * KIMG for updates in reversed(UPDATES)])
    assert [record["made_by"]["size_px"] for record in card.training_records()] == [32, 16, 8]
    seconds = straight.read_status()["cpu_seconds"]
    assert sum(record["cpu_seconds"] for record in card.training_records()) == pytest.approx(seconds, abs=0.01)
    for size_px in (8, 16):
        folder = straight.path / "steps" / f"{size_px}px"
        network, own = load_network(folder / "critic" / "critic.safetensors")
        assert (own.kind, own.size_px, network.size_px) == ("critic", size_px, size_px)
    assert card.parent["tensors_sha256"] == read_weights_hash(straight.path / "steps" / "16px" / "generator.safetensors")


def assert_same_end(straight: Run, other: Run) -> None:
    """Equal state, statistics, artifacts of all sizes and snapshots."""
    tiny_runs.assert_same_trace(straight, other)
    for file in (
        "generator.safetensors",
        "steps/8px/generator.safetensors",
        "steps/16px/generator.safetensors",
        "steps/16px/critic/critic.safetensors",
    ):
        assert (straight.path / file).read_bytes() == (other.path / file).read_bytes()
    assert {path.name for path in straight.list_snapshots()} <= {path.name for path in other.list_snapshots()}  # and one where it was stopped
    for path in straight.list_snapshots():
        assert path.read_bytes() == (other.path / "snapshots" / path.name).read_bytes()


@pytest.mark.parametrize("at", [1, 2, 4, 5, 7])
def test_stopped_inside_a_step_or_at_its_end_it_goes_on_to_the_same_bytes(
    at: int, straight: Run, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal comes before update `at` + 1; 2 and 5 are the last ones of their steps, after which the run must stop as well."""
    with monkeypatch.context() as patch:
        tiny_runs.before_step(patch, tiny_runs.send(signal.SIGTERM), at=at)
        if at == 7:  # nothing is left to stop
            run = pretrain(recipe(pack), tiny_runs.run_context(tmp_path / "stopped"))
            return assert_same_end(straight, run)
        with pytest.raises(Stopped):
            pretrain(recipe(pack), tiny_runs.run_context(tmp_path / "stopped"))
    run = tiny_runs.only_run(tmp_path / "stopped")
    assert run.read_status()["iteration"] == at + 1
    return assert_same_end(straight, resume(run.path, tiny_runs.run_context(tmp_path)))


class Killed(BaseException):
    """Nobody catches this."""


def kill(*_: Any, **__: Any) -> None:
    raise Killed


@pytest.mark.parametrize(
    ("moment", "step"),
    [
        ("before the export", 2),
        ("before growing", 1),
        ("before the first update", 1),
        ("before the first update", 2),
        ("in the second update", 1),
    ],
)
def test_killed_at_the_boundary_it_goes_on_to_the_same_bytes(
    moment: str, step: int, straight: Run, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        first = FIRST_OF_STEP[step]
        if moment == "before the export":
            real = training_run.export_networks
            patch.setattr(
                training_run, "export_networks", lambda folder, *rest: kill() if folder.name == f"{SIZES[step - 1]}px" else real(folder, *rest)
            )
        elif moment == "before growing":
            grow = training_run.next_step
            patch.setattr(training_run, "next_step", lambda run, form, index, *rest: kill() if index == step else grow(run, form, index, *rest))
        else:
            tiny_runs.before_step(patch, kill, at=first + (0 if moment == "before the first update" else 1))
        with pytest.raises(Killed):
            pretrain(recipe(pack), tiny_runs.run_context(tmp_path / "killed"))
    run = tiny_runs.only_run(tmp_path / "killed")
    newest, header = read_tensors(list_checkpoints(run.path)[-1])
    assert header["counters"]["step"] == (step - 1 if moment in ("before the export", "before growing") else step)
    assert newest
    assert_same_end(straight, resume(run.path, tiny_runs.run_context(tmp_path)))


def test_whole_scenes_grow_with_their_critic(tmp_path: Path) -> None:
    """A WGAN with gradient penalty; at first the grown critic scores what the smaller one scores of the reduced images."""
    form = recipe(tiny_runs.pack(tmp_path / "scene.npy", size_px=32), "scene", critic="grown")
    run = pretrain(form, tiny_runs.run_context(tmp_path))
    steps = ladder_steps(form)
    for index in (1, 2):
        small, _ = load_network(run.path / "steps" / f"{SIZES[index - 1]}px" / "critic" / "critic.safetensors")
        images = torch.rand(4, 3, SIZES[index], SIZES[index], generator=torch.Generator().manual_seed(0)) * 2 - 1
        grown = network_at(run, FIRST_OF_STEP[index], steps[index], "critic")
        with torch.no_grad():
            assert torch.allclose(grown(images), small.eval()(torch.nn.functional.avg_pool2d(images, 2)), atol=1e-6)
    assert read_card(artifact_of(run)).role == "scene"


def test_files_are_decoded_once_for_all_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITLGAN_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, pixels in enumerate(tiny_runs.pixels(12, 3, size_px=40)):
        Image.fromarray(pixels.transpose(1, 2, 0)).save(folder / f"{index}.png")
    from mitlgan.data import open as opening

    packed: list[int] = []
    real = opening.pack_split
    monkeypatch.setattr(opening, "pack_split", lambda *args, **kwargs: (packed.append(kwargs["size_px"]), real(*args, **kwargs))[1])
    run = pretrain(recipe(folder), tiny_runs.run_context(tmp_path))
    assert packed == [32]
    assert read_card(artifact_of(run)).data["count"] == 12


def test_one_is_ended_early_at_the_size_it_has(pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        tiny_runs.before_step(patch, tiny_runs.send(signal.SIGTERM), at=3)
        with pytest.raises(Stopped):
            pretrain(recipe(pack), tiny_runs.run_context(tmp_path))
    run = finish_at_checkpoint(tiny_runs.only_run(tmp_path).path, tiny_runs.run_context(tmp_path))
    card = read_card(artifact_of(run))
    assert (card.size_px, card.recipe["size_px"], card.kimg) == (16, 16, pytest.approx(KIMG))
    assert load_artifact(artifact_of(run)).sample([0]).shape == (1, 3, 16, 16)


def test_the_last_step_is_made_longer(pack: Path, tmp_path: Path) -> None:
    run = pretrain(recipe(pack), tiny_runs.run_context(tmp_path))
    longer = resume(run.path, tiny_runs.run_context(tmp_path), more_kimg=2 * KIMG)
    rows = tiny_runs.read_stats(longer)
    assert [row["size_px"] for row in rows] == [8] * 3 + [16] * 3 + [32] * 4
    written = longer.load_recipe()
    assert written.grow is not None
    assert written.grow[-1].kimg == pytest.approx(4 * KIMG)
    assert resume(run.path, tiny_runs.run_context(tmp_path)).read_status()["iteration"] == 10


def test_the_first_step_begins_from_an_artifact(straight: Run, pack: Path, tmp_path: Path) -> None:
    start = straight.path / "steps" / "8px" / "generator.safetensors"
    run = pretrain(recipe(pack, training__keep_kimg=[0]), tiny_runs.run_context(tmp_path), start=start)
    first = load_artifact(run.list_kept_artifacts()[0])
    assert torch.equal(first.sample([3]), load_artifact(start).sample([3]))
    records = read_card(artifact_of(run)).training_records()
    assert [record["made_by"]["size_px"] for record in records] == [32, 16, 8, 8]


@pytest.mark.parametrize("index", range(len(SIZES)))
def test_the_critic_of_a_run_is_that_of_the_step_it_is_in(index: int, straight: Run, tmp_path: Path) -> None:
    run = Run(shutil.copytree(straight.path, tmp_path / "run"))
    newest = FIRST_OF_STEP[index] + 1
    for path in list_checkpoints(run.path):
        if int(path.stem) > newest:
            path.unlink()
    step = ladder_steps(straight.load_recipe())[index]
    critic, size_px, tensors = load_trained_critic(run.path, ignore_message)
    assert (critic, size_px) == (step.critic, SIZES[index])
    networks.build_critic(critic, size_px).load_state_dict(tensors)
    saved, _ = read_tensors(run.path / "checkpoints" / f"{newest:09d}.safetensors")
    assert all(torch.equal(tensor, saved[f"critic.{name}"]) for name, tensor in tensors.items())
    assert load_initial_critic(run.path, step, ignore_message).keys() == tensors.keys()


def test_a_transfer_goes_on_with_the_critic_of_the_last_step(straight: Run, pack: Path, tmp_path: Path) -> None:
    transfer = with_overrides(tiny_runs.recipe("bg", pack, updates=1), size_px=32, generator__widths=[6, 6, 6], critic__widths=[4, 6, 8, 8],
                              critic__dropout=None, transfer={"freeze": 0})  # fmt: skip
    start = artifact_of(straight)
    assert artifact_of(pretrain(transfer, tiny_runs.run_context(tmp_path), start=start, critic=straight.path)).is_file()


def replace_pictures(source: Path) -> None:
    """Put another pack in the place of one."""
    tiny_runs.pack(source, count=10, seed=2, size_px=32)


def test_a_run_that_grows_on_other_pictures_names_both(straight: Run, tmp_path: Path) -> None:
    """The hash of the same pictures is another one at each size; that alone is no change."""
    assert "sets" not in read_card(artifact_of(straight)).data
    assert not read_card(artifact_of(straight)).notes
    source = tiny_runs.pack(tmp_path / "bg.npy", size_px=32)
    with pytest.MonkeyPatch.context() as patch:
        tiny_runs.before_step(patch, lambda _: replace_pictures(source), at=2)
        run = pretrain(recipe(source), tiny_runs.run_context(tmp_path))
    card = read_card(artifact_of(run))
    assert [(entry["count"], entry["from_iteration"]) for entry in card.data["sets"]] == [(12, 0), (10, FIRST_OF_STEP[1])]
    assert card.notes == f"trained on 12 pictures to {FIRST_OF_STEP[1] * KIMG:g} kimg, then on 10"
    assert card.data["content_sha256"] == card.data["sets"][-1]["content_sha256"] == open_recipe_data(run.load_recipe()).content_sha256
    assert read_card(step_folder(run.path, SIZES[0]) / "generator.safetensors").data.get("sets") is None
    later = tiny_runs.run_context(tmp_path)
    resume(run.path, later)
    assert "12 (" in tiny_runs.said(later)
    assert read_card(artifact_of(run)).data == card.data
