"""The session on a GPU: in full where there is one, and a tiny form on the CPU, so that the script does not rot."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from gpu import session
from helpers import tiny_runs

from mitlgan.artifacts.card import read_card
from mitlgan.cli.main import main
from mitlgan.data.pack.image_pack import FourthChannel
from mitlgan.recipe import load_recipe
from mitlgan.runtime.distributed import World
from mitlgan.stages import training_speed

MINUTES = 12.0
TINY = session.SessionForm(
    {
        "fg": "recommended/fg-32", "bg": "recommended/bg-32", "compose": "recommended/compose-32", "wgan": "recommended/wgan-32",
        "thesis fg": "thesis-32/pretrain_fg", "thesis bg": "thesis-32/pretrain_bg", "thesis compose": "thesis-32/compose",
    },
    ("training.kimg=0.008", "training.batch=2", "objective.critic_steps=1", "evaluation.samples=8", "evaluation.extractor=efficientnet-lite0@32"),
    trained=("training.batch=2",), compilers=("", "eager"), measured=("bg", "thesis compose"), samples=8, min_trained_s=0.0, trained_s=1.0,
)  # fmt: skip


@pytest.mark.slow
def test_the_tiny_form_runs_on_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_here(arguments: Sequence[str]) -> None:
        monkeypatch.setattr(sys, "argv", ["mitlgan", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0, arguments

    fourths: dict[str, FourthChannel | None] = {"fg": "alpha", "bg": None, "scene": None}
    packs = {role: str(tiny_runs.pack(tmp_path / f"{role}.npy", fourth=fourth, size_px=32)) for role, fourth in fourths.items()}
    form = dataclasses.replace(TINY, data=packs)
    monkeypatch.setattr(session, "EQUALITY_SEEDS", range(2))
    out = tmp_path / "out"
    check(session.Session(form, "cpu", out, time.monotonic() + 10_000, run_here).run(), out, form, 32)


@pytest.mark.gpu
@pytest.mark.timeout(60 * MINUTES + 120)
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
def test_the_full_form_runs_on_a_gpu(tmp_path: Path) -> None:
    out = Path(os.environ.get("MITLGAN_GPU_OUT", str(tmp_path)))
    check(session.Session(session.FULL, "cuda", out, time.monotonic() + 60 * MINUTES).run(), out, session.FULL, 128)


def check(results: dict[str, Any], out: Path, form: session.SessionForm, size_px: int) -> None:
    assert json.loads((out / "results.json").read_text()) == results
    assert set(results["commands"]) == {
        "pretrain fg", "pretrain bg", "compose", "compare", "pretrain thesis fg", "pretrain thesis bg", "thesis compose",
    }  # fmt: skip
    measured = {(row["stage"], row["precision"], row["compile"]) for row in results["speed"]}
    assert measured == {
        (stage, precision, name or "no") for stage in form.measured or form.recipes for precision in session.PRECISIONS for name in form.compilers
    }
    assert [row for row in results["speed"] if "error" in row] == []
    assert all(row["images_per_s"] > 0 for row in results["speed"])
    assert all(difference <= session.TOLERANCE for difference in results["equality"].values())
    assert set(results["trained"]) == {f"fg-{size_px}", f"bg-{size_px}", f"composer-{size_px}"}
    for name in results["trained"]:
        assert read_card(out / f"{name}.safetensors").kimg == results["trained"][name]["kimg"] > 0
        assert (out / f"{name}.webp").read_bytes()[8:12] == b"WEBP"


@pytest.mark.parametrize(("precision", "expected"), [(None, torch.float32), ("float32", torch.float32), ("bf16", torch.bfloat16)])
def test_the_precision_of_the_forward_pass_is_the_recipes(precision: str | None, expected: torch.dtype) -> None:
    settings = ["training.kimg=0.01", "training.batch=2"] + ([] if precision is None else [f"training.precision={precision}"])
    with training_speed.open_loop(load_recipe("recommended/bg-32", settings), World(0, 1, torch.device("cpu"))) as loop:
        real = loop.updates.real_batch(0)
        dtypes: list[torch.dtype] = []
        hooked = next(module for module in loop.state.generator.modules() if isinstance(module, torch.nn.Conv2d))
        hooked.register_forward_hook(lambda module, inputs, output: dtypes.append(output.dtype))
        loop.updates.generate(real, 0, with_grad=False)
    assert dtypes == [expected]


def test_compiled_networks_train_as_others_do_and_keep_their_names() -> None:
    losses, names = [], []
    for settings in ([], ["training.compile=eager"]):
        recipe = load_recipe("recommended/bg-32", ["training.kimg=0.01", "training.batch=2", *settings])
        torch.manual_seed(0)
        with training_speed.open_loop(recipe, World(0, 1, torch.device("cpu"))) as loop:
            losses.append([float(loop.train_iteration()["critic_loss"]) for _ in range(2)])
            names.append(list(loop.state.tensors()))
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert names[1] == names[0]
