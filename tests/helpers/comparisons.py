"""Comparisons that are begun and left, without a training, and what is made meanwhile."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch

from helpers import tiny_runs
from mitlgan.artifacts.load_save import load_network, save_network
from mitlgan.compare.domains import resolve_domains, resolve_plan
from mitlgan.compare.plan import ComparisonPlan
from mitlgan.compare.runner import _begin
from mitlgan.compare.unfinished_comparisons import find_unfinished
from mitlgan.networks import Composer
from mitlgan.recipe import shipped_folder
from mitlgan.training.run_directory import Run


def opened(plan: ComparisonPlan, root: Path) -> tuple[Path, list[str]]:
    """Return the folder in which a comparison would work, or go on, and the lines about other ones."""
    environment = tiny_runs.run_context(root)
    named = resolve_plan(plan, root, environment.reporter.say)
    setup = resolve_domains(named, root)[0]
    folder = (find_unfinished(named, plan, environment) or _begin(named, setup, environment)).path
    return folder, [line for line in tiny_runs.said(environment).splitlines() if not line.startswith("composition: ")]


def finish(root: Path, number: int, composed: Run) -> Path:
    """Put a composition below a root, with tensors of its own; one of a higher number is newer."""
    folder = root / "compose" / f"tiny-{number:03d}"
    shutil.copytree(composed.path, folder)
    change_tensors(folder, number)
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (2_000_000_000 + number, 2_000_000_000 + number))
    return folder


def change_tensors(run: Path, number: int) -> None:
    """Let a composition be another one, as if it had been trained on."""
    file = run / "composer.safetensors"
    network, card = load_network(file)
    assert isinstance(network, Composer)
    with torch.no_grad():
        next(iter(network.trainable_parameters())).add_(number)
    save_network(file, network, card)


def newer_foreground(root: Path) -> Path:
    """Put a foreground of 32 px among the runs, which a composition takes by default from then on."""
    folder = root / "pretrain" / "mine-001"
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text("")
    return Path(shutil.copy(shipped_folder("pretrained") / "modern-fg-32" / "generator.safetensors", folder))
