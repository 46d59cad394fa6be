"""Training in several processes, and the loss of one of them, on two ranks over gloo."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
import torch
from helpers import tiny_runs
from helpers import torchrun as ranks
from helpers.short_exports import export_like_users
from safetensors.torch import load_file

from mitlgan.errors import UsageError
from mitlgan.recipe import to_toml
from mitlgan.runtime.distributed import (
    ALONE,
    World,
    any_rank,
    average_gradients,
    average_tensors,
    join_world,
    require_same_on_all_ranks,
    resolve_device,
)
from mitlgan.runtime.json_files import read_jsonl
from mitlgan.stages.existing_runs import get_or_train
from mitlgan.stages.pretrain import pretrain
from mitlgan.training import run_directory
from mitlgan.training.checkpoint import list_checkpoints, load_checkpoint
from mitlgan.training.run_directory import Run


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_devices_are_named_as_torch_names_them() -> None:
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(UsageError, match="--device tpu: not one of auto, cpu, cuda, mps"):
        resolve_device("tpu")


def test_an_absent_device_is_refused_with_one_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for name in ("cuda", "cuda:1", "mps"):
        with pytest.raises(UsageError, match=f"--device {name}: torch sees no .* here; use --device cpu"):
            resolve_device(name)
    assert resolve_device("auto") == torch.device("cpu")


@pytest.mark.parametrize(("name", "message"), [
    ("cpu:128", "cpu:128: its number is too high; use --device cpu, or one up to cpu:127"),
    ("cpu:99999", "cpu:99999: its number is too high; use --device cpu, or one up to cpu:127"),
    ("cpu:" + "9" * 40, "cpu:9{40}: its number is too high"),
    ("cuda:2", "cuda:2: its number is too high; use --device cuda, or one up to cuda:1"),
    ("cuda:256", "cuda:256: its number is too high; use --device cuda, or one up to cuda:1"),
    ("mps:1", "mps:1: its number is too high; use --device mps, or one up to mps:0"),
    ("auto:3", "auto:3: auto takes no number; use --device auto, or a kind with a number, such as cuda:0"),
    ("cpu:00", "cpu:00: not one of auto, cpu, cuda, mps"),
    ("cuda:01", "cuda:01: not one of auto, cpu, cuda, mps"),
    ("cpu:-1", "cpu:-1: not one of auto, cpu, cuda, mps"),
    ("cpu:\u0661", "cpu:\u0661: not one of auto, cpu, cuda, mps"),
])  # fmt: skip
def test_a_device_whose_number_cannot_be_is_refused(name: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend_gpus(monkeypatch)
    with pytest.raises(UsageError, match=f"^--device {message}"):
        resolve_device(name)


@pytest.mark.parametrize("name", ["cpu", "cpu:0", "cpu:127", "cuda", "cuda:0", "cuda:1", "mps", "mps:0"])
def test_a_device_whose_number_can_be_is_torch_s(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend_gpus(monkeypatch)
    assert str(resolve_device(name)) == name


def _pretend_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two CUDA devices and an Apple GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)


def test_alone_there_is_nothing_to_share(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "RANK"):
        monkeypatch.delenv(name, raising=False)
    with join_world("cpu") as world:
        assert world == World(0, 1, torch.device("cpu"))
        tensor = torch.nn.Parameter(torch.ones(3))
        tensor.grad = torch.full((3,), 2.0)
        average_gradients([tensor], world)
        average_tensors([tensor.grad], world)
        require_same_on_all_ranks("x", "run", world)
        assert (any_rank(True, world), any_rank(False, world)) == (True, False)
        assert tensor.grad.tolist() == [2.0] * 3


def test_half_an_environment_of_torchrun_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(UsageError, match="WORLD_SIZE=4: set without RANK"), join_world("cpu"):
        pass


def test_ranks_share_weights_gradients_statistics_and_flags(children: ForkServerContext, tmp_path: Path, port: int) -> None:
    first, second = ranks.run(children, ranks.collectives, tmp_path, port=port)
    assert (first.pop("rank"), second.pop("rank"), first.pop("leads"), second.pop("leads")) == (0, 1, True, False)
    assert first == second
    assert first["gradients"] == [[0.5, 5.5], [1.5, 1.5]]  # the mean, each at its place whatever the layout
    assert first["unused"] is True
    assert first["statistics"] == [[0.5] * 3, 2.0]
    assert first["flags"] == [False, True, True]
    assert first["refused"] == "runs/x: ranks hold different tensors; nothing was saved"
    assert first["after waiting"] is True


def test_a_rank_that_dies_ends_the_others_in_one_line(children: ForkServerContext, tmp_path: Path, port: int) -> None:
    started = time.monotonic()
    first, second = ranks.run(children, ranks.death, tmp_path, port=port)
    assert second == {}
    assert first["code"] == 5
    assert first["error"].startswith("torchrun: lost another process (")
    assert first["error"].endswith("the last checkpoint is whole: continue with `mitlgan resume RUN`")
    assert time.monotonic() - started < 60


def test_a_rank_that_hangs_ends_the_others_after_the_timeout(children: ForkServerContext, tmp_path: Path, port: int) -> None:
    first, _ = ranks.run(children, ranks.hang, tmp_path, port=port, timeout_s=2)
    assert first["code"] == 5
    assert first["error"].startswith("torchrun: lost another process (")


@pytest.mark.parametrize("size", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_ranks_share_an_evaluation_and_measure_the_same_to_the_bit(
    children: ForkServerContext, tmp_path: Path, port: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MITLGAN_CACHE", str(tmp_path / "cache"))
    tiny_runs.pack(tmp_path / "real.npy", count=300)
    with_cache = ranks.run(children, ranks.evaluation, tmp_path, port=port, size=size)
    alone = json.loads(json.dumps(ranks.evaluation(ALONE, tmp_path)))
    assert sorted(seed for rank in with_cache for seed in rank["made"]) == alone["made"] == [*range(600)]
    assert all(rank["made"] for rank in with_cache[:3])
    assert all(rank["figures"] == alone["figures"] for rank in with_cache)


def test_two_ranks_train_save_once_and_resume_to_the_bit(children: ForkServerContext, tmp_path: Path, port: int, packs: dict[str, Path]) -> None:
    """BatchNorm's statistics included, which each rank would measure on its own latents."""
    for path in (path for pack in packs.values() for path in (pack, pack.with_suffix(".json"))):
        shutil.copyfile(path, tmp_path / path.name)
    first, second = ranks.run(children, ranks.training, tmp_path, port=port)
    assert "error" not in first, first
    assert first["states"] == second["states"]  # averages and optimisers, too
    straight, short, resumed, limited, composed = (Run(Path(path)) for path in first["runs"])
    assert short.path == resumed.path
    tiny_runs.assert_same_trace(straight, resumed)
    assert all(run.read_status()["state"] == "done" and run.artifact_file for run in (straight, resumed, limited, composed))
    assert len(run_directory.list_runs(tmp_path / "runs")) == 4  # one directory a run
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"pretrain", "compose"}
    checkpoint = load_checkpoint(composed.path)
    assert checkpoint is not None
    assert checkpoint[1]["world_size"] == 2
    assert checkpoint[1]["counters"]["images_shown"] == 3 * tiny_runs.PER_UPDATE  # of all ranks together


@pytest.mark.parametrize("size", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_what_depends_on_the_batch_is_of_all_ranks(children: ForkServerContext, tmp_path: Path, port: int, size: int) -> None:
    """Ratios, medians, norms and groups are those of the whole batch, not means over those of each rank; slopes of any order, too."""
    alone = ranks.batch_figures(ALONE, tmp_path)
    every = ranks.run(children, ranks.batch_figures, tmp_path, port=port, size=size)
    assert len(alone) > 60
    assert 0 < alone["fakes_passed"] < 1
    assert -1 < alone["sign"] < 1
    for one in every:
        assert one == pytest.approx(alone, rel=1e-4, abs=1e-6)


def assert_near(actual: torch.Tensor, expected: torch.Tensor, tolerance: float, name: str) -> None:
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance, msg=lambda text: f"{name}: {text}")


FREE = ("relativistic", "weight critic.stages.score.dense.bias")
"""A relativistic loss takes differences of scores: what is added to all of them has no gradient but rounding, which Adam enlarges."""
KINDS = ["composition", "deviation", "evolutionary", "inpainter", "lsgan", "relativistic", "wgan"]


@pytest.mark.parametrize(
    ("updates", "kinds", "sizes"),
    [
        (3, ["composition", "evolutionary"], (2,)),
        pytest.param(50, KINDS, (2, 4), marks=[pytest.mark.slow, pytest.mark.timeout(3000)]),
    ],
)
def test_ranks_train_as_one_process_with_the_whole_batch(
    updates: int, kinds: list[str], sizes: tuple[int, ...], children: ForkServerContext, tmp_path: Path, port: int, pretrained: dict[str, Run],
    packs: dict[str, Path],
) -> None:  # fmt: skip
    """The same pictures with the same noise, every kind of training: gradients, weights, running statistics and the lines of `stats.jsonl`."""
    for path in (path for pack in packs.values() for path in (pack, pack.with_suffix(".json"))):
        shutil.copyfile(path, tmp_path / path.name)
    for role, run in pretrained.items():
        shutil.copytree(run.path, tmp_path / "layers" / role)
    (tmp_path / "plan.json").write_text(json.dumps({"updates": updates, "kinds": kinds}))
    for size in (1, *sizes):
        assert ranks.run(children, ranks.equality, tmp_path, port=port, size=size, timeout_s=600) == [{}] * size
    for kind, size in itertools.product(kinds, sizes):
        alone, shared = (load_file(tmp_path / f"{kind}-{number}.safetensors") for number in (1, size))
        assert alone.keys() == shared.keys()
        gradients = [name for name in alone if name.startswith("gradient ")]
        weights = [name for name in alone if name.startswith(("weight generator.", "weight critic.", "weight ema.")) and (kind, name) != FREE]
        assert any("generator" in name for name in gradients)
        assert any("critic" in name for name in gradients)
        for names, tolerance in ((gradients, 1e-5), (weights, 1e-4)):
            for name in names:
                torch.testing.assert_close(
                    shared[name], alone[name], rtol=tolerance, atol=tolerance, msg=lambda text, at=(kind, size, name): f"{at} {text}"
                )
        lines, others = (list(read_jsonl(tmp_path / f"{kind}-{number}.jsonl")) for number in (1, size))
        loose = ["midtones", "fakes_passed", "augment_sign"]  # they count, so that rounding may add one
        loose += ["score_real", "score_fake"] if kind == FREE[0] else []
        for line, other in zip(lines, others, strict=True):
            assert {key: line[key] for key in line if key not in loose} == pytest.approx(
                {key: other[key] for key in other if key not in loose}, rel=1e-3, abs=1e-4
            )
            assert line["score_real"] - line["score_fake"] == pytest.approx(other["score_real"] - other["score_fake"], rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(("before", "after"), [(2, 1), pytest.param(1, 2, marks=pytest.mark.slow)])
def test_a_run_goes_on_with_other_ranks_and_the_same_samples(
    before: int, after: int, children: ForkServerContext, tmp_path: Path, port: int, packs: dict[str, Path]
) -> None:
    shutil.copyfile(packs["bg"], tmp_path / "bg.npy")
    shutil.copyfile(packs["bg"].with_suffix(".json"), tmp_path / "bg.json")
    straight = pretrain(
        tiny_runs.recipe("bg", tmp_path / "bg.npy", updates=2 * 6, batch=2 * tiny_runs.BATCH), tiny_runs.run_context(tmp_path / "straight")
    )
    assert ranks.run(children, ranks.first_half, tmp_path, port=port, size=before) == [{}] * before
    told = ranks.run(children, ranks.second_half, tmp_path, port=port, size=after)[0]["said"]
    assert f"{after} processes instead of {before}: the same samples, but sums are rounded in another order" in told
    tensors, resumed = (tiny_runs.trace(run)[0] for run in (straight, tiny_runs.only_run(tmp_path / "runs")))
    for name in tensors:
        assert_near(resumed[name], tensors[name], 1e-4, name)


# Under torchrun itself


def torchrun(*arguments: object, restarts: int = 0) -> subprocess.Popen[str]:
    options = ["--standalone", "--nproc-per-node", "2", "--max-restarts", str(restarts)]
    command = [sys.executable, "-m", "torch.distributed.run", *options, "-m", "mitlgan", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.slow
def test_torchrun_trains_resumes_and_prints_once(tmp_path: Path, packs: dict[str, Path]) -> None:
    (tmp_path / "mine.toml").write_text(to_toml(tiny_runs.recipe("fg", packs["fg"])))
    process = torchrun("pretrain", "fg", "--recipe", tmp_path / "mine.toml", "--out", tmp_path / "runs", "--json")
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert len(out.splitlines()) == 1
    result = json.loads(out)
    assert Path(result["artifact"]).is_file()
    process = torchrun("resume", result["run"], "--kimg", "+0.008", "--json")
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert json.loads(out)["iteration"] == 4


@pytest.mark.slow
def test_a_rank_killed_under_torchrun_leaves_a_checkpoint_that_loads(tmp_path: Path, packs: dict[str, Path]) -> None:
    (tmp_path / "mine.toml").write_text(to_toml(tiny_runs.recipe("fg", packs["fg"], updates=10**6, checkpoint_kimg=0.1)))
    process = torchrun("pretrain", "fg", "--recipe", tmp_path / "mine.toml", "--out", tmp_path / "runs")
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and not any(len(list_checkpoints(run.path)) > 1 for run in run_directory.list_runs(tmp_path / "runs")):
        time.sleep(0.2)
    (run,) = run_directory.list_runs(tmp_path / "runs")
    victims = [pid for pid in children_of(process.pid) if environment_of(pid).get("RANK") == "1"]
    assert len(victims) == 1
    os.kill(victims[0], signal.SIGKILL)
    process.communicate(timeout=100)
    assert process.returncode != 0
    checkpoint = load_checkpoint(run.path)
    assert checkpoint is not None
    assert checkpoint[1]["counters"]["iteration"] > 0


@pytest.mark.slow
def test_torchrun_restarts_a_training_whose_rank_was_killed(tmp_path: Path, packs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ranks start again from the newest checkpoint, and the end is that of one process without any fault."""
    export_like_users(monkeypatch)
    recipe = tiny_runs.recipe("fg", packs["fg"], updates=60, batch=2 * tiny_runs.BATCH, checkpoint_iterations=2)
    (tmp_path / "mine.toml").write_text(to_toml(recipe))
    process = torchrun("train", tmp_path / "mine.toml", "--out", tmp_path / "runs", "--json", restarts=2)
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and not any(len(list_checkpoints(run.path)) > 1 for run in run_directory.list_runs(tmp_path / "runs")):
        time.sleep(0.05)
    (victim,) = [pid for pid in children_of(process.pid) if environment_of(pid).get("RANK") == "1"]
    os.kill(victim, signal.SIGKILL)
    out, err = process.communicate(timeout=280)
    assert process.returncode == 0, err
    assert re.search(r"torchrun: lost another process|SIGKILL|exitcode: -9", err), err
    run = tiny_runs.only_run(tmp_path / "runs")
    assert json.loads(out.splitlines()[-1])["run"] == str(run.path)
    assert run.read_status()["state"] == "done"
    alone = get_or_train(recipe, tiny_runs.run_context(tmp_path / "alone"))
    tensors, restarted = (tiny_runs.trace(one)[0] for one in (alone, run))
    for name in tensors:
        assert_near(restarted[name], tensors[name], 1e-4, name)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def environment_of(pid: int) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)
