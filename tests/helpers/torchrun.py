"""What one rank of several does: functions for children of the tests. Each writes what it saw into a file of its own."""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mitlgan.errors import ArtifactError, MitlganError
from mitlgan.runtime import distributed
from mitlgan.runtime.distributed import (
    World,
    any_rank,
    average_gradients,
    average_tensors,
    broadcast,
    join_world,
    require_same_on_all_ranks,
    wait_for_all_ranks,
)

Work = Callable[[World, Path], Any]


def run(context: ForkServerContext, work: Work, folder: Path, *, port: int, size: int = 2, timeout_s: int = 60) -> list[dict[str, Any]]:
    """Run a function in so many ranks, and give what each returned, or the error it ended with, or {} where it was killed."""
    processes = [context.Process(target=_rank, args=(work, folder, rank, size, port, timeout_s)) for rank in range(size)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout_s + 240)
    assert not [process for process in processes if process.exitcode is None], "a rank hangs"
    return [json.loads(path.read_text()) if (path := folder / f"{rank}.json").exists() else {} for rank in range(size)]


def _rank(work: Work, folder: Path, rank: int, size: int, port: int, timeout_s: int) -> None:
    distributed.TIMEOUT_S = timeout_s  # two minutes are too many for a test
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    torch.manual_seed(rank)  # what must be alike is not so by chance
    try:
        with join_world("cpu") as world:
            found = work(world, folder)
    except MitlganError as error:
        found = {"error": str(error), "code": error.exit_code}
    (folder / f"{rank}.json").write_text(json.dumps(found))


def collectives(world: World, folder: Path) -> dict[str, Any]:
    """Every operation once, with numbers that tell the ranks apart."""
    found: dict[str, Any] = {"rank": world.rank, "size": world.size, "leads": world.is_leader}
    layer = nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last)
    unused = nn.Linear(2, 2)
    broadcast(layer.state_dict().values(), world)
    found["weights"] = layer.weight.sum().item()
    for index, parameter in enumerate(layer.parameters()):
        parameter.grad = torch.full_like(parameter, float(world.rank + index))
        if parameter.ndim == 4:
            parameter.grad[0, 0, 0, 1] += 10.0 * world.rank
    average_gradients([*layer.parameters(), *unused.parameters()], world)
    found["gradients"] = [parameter.grad.flatten()[:2].tolist() for parameter in layer.parameters() if parameter.grad is not None]
    found["unused"] = unused.weight.grad is None
    statistics = [torch.full((3,), float(world.rank)), torch.tensor(4.0 * world.rank)]
    average_tensors(statistics, world)
    found["statistics"] = [statistic.tolist() for statistic in statistics]
    found["flags"] = [any_rank(flag, world) for flag in (False, world.rank == 1, True)]
    require_same_on_all_ranks("alike", "run", world)
    try:
        require_same_on_all_ranks(f"digest {world.rank}", "runs/x", world)
    except ArtifactError as error:
        found["refused"] = str(error)
    if world.rank == 0:
        (folder / "written").write_text("")
    wait_for_all_ranks(world)
    found["after waiting"] = (folder / "written").exists()
    return found


def death(world: World, folder: Path) -> dict[str, Any]:
    """Rank 1 dies between two steps."""
    any_rank(False, world)
    if world.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    any_rank(False, world)
    return {"survived": True}


def hang(world: World, folder: Path) -> dict[str, Any]:
    """Rank 1 does not come."""
    any_rank(False, world)
    if world.rank == 1:
        time.sleep(4)
        return {}
    any_rank(False, world)
    return {"survived": True}


def training(world: World, folder: Path) -> dict[str, Any]:
    """Pretrain in one go and with a stop and a resume, compose on top, and refuse what must be refused; `folder` holds the packs."""
    from helpers import tiny_runs
    from mitlgan.artifacts.safetensors_io import tensors_sha256
    from mitlgan.stages.compose import compose
    from mitlgan.stages.context import RunContext
    from mitlgan.stages.pretrain import pretrain
    from mitlgan.stages.resume import resume
    from mitlgan.training.loop import TrainingLoop

    states: list[str] = []
    finished = TrainingLoop.run

    def watched(self: TrainingLoop, **options: Any) -> Any:
        state = finished(self, **options)
        states.append(tensors_sha256({**state.tensors()}))
        return state

    TrainingLoop.run = watched  # type: ignore[method-assign]
    root = folder / "runs"
    listener = tiny_runs.Listener()
    environment = RunContext(world, listener, root)
    recipe = tiny_runs.recipe("fg", folder / "fg.npy", updates=4)
    straight = pretrain(recipe, environment)
    wait_for_all_ranks(world)
    short = pretrain(tiny_runs.recipe("fg", folder / "fg.npy", updates=2), environment)
    wait_for_all_ranks(world)
    path = root / "pretrain" / "tiny-fg-002"
    resumed = resume(path, environment, more_kimg=2 * tiny_runs.PER_UPDATE / 1000)
    limited = pretrain(tiny_runs.recipe("bg", folder / "bg.npy", updates=10**6, limit_s=0.3), environment)
    wait_for_all_ranks(world)
    layers = {"fg": path / "generator.safetensors", "bg": root / "pretrain" / "tiny-bg-001" / "generator.safetensors"}
    composed = compose(tiny_runs.recipe("scene", folder / "scene.npy", compose=True), layers, environment)
    runs = [straight, short, resumed, limited, composed]
    return {"states": states, "runs": [str(run.path) for run in runs], "said": listener.said if world.is_leader else []}


def equality(world: World, folder: Path) -> dict[str, Any]:
    """Train one of each kind; write the gradients of the first updates, the final weights and the statistics into `folder`."""
    from safetensors.torch import save_file

    from helpers import tiny_runs
    from mitlgan.recipe import Recipe, as_dict, parse_recipe, with_overrides
    from mitlgan.stages.compose import compose
    from mitlgan.stages.context import RunContext
    from mitlgan.stages.inpainter import train_inpainter
    from mitlgan.stages.pretrain import pretrain
    from mitlgan.training.updates import NetworkUpdates

    plan = json.loads((folder / "plan.json").read_text())
    gradients: dict[str, torch.Tensor] = {}
    step = NetworkUpdates.optimizer_step

    def watched(self: NetworkUpdates, loss: Any, optimiser: Any, parameters: list[nn.Parameter]) -> Any:
        norm = step(self, loss, optimiser, parameters)
        if self.state.counters.iteration == 0:
            part = "critic" if parameters is self.state.critic_parameters else "generator"
            gradients.update({f"{part} {i}": p.grad.clone() for i, p in enumerate(parameters) if p.grad is not None})
        return norm

    def changed(recipe: Recipe, **tables: Any) -> Recipe:
        return parse_recipe({**as_dict(recipe), **tables}, "tiny")

    def slow(recipe: Recipe) -> Recipe:
        """Rates of 1e-4: where a gradient is nearly zero, rounding decides the direction of Adam's step, which is as large as the rate."""
        return with_overrides(recipe, generator_optimiser__learning_rate=1e-4, critic_optimiser__learning_rate=1e-4)

    NetworkUpdates.optimizer_step = watched  # type: ignore[method-assign]
    context = RunContext(world, tiny_runs.Listener(), folder / f"runs-{world.size}")
    settings: dict[str, Any] = {"updates": 2 * plan["updates"], "batch": 2 * tiny_runs.BATCH}
    layers = {role: folder / "layers" / role / "generator.safetensors" for role in ("fg", "bg")}
    fg, bg = (tiny_runs.recipe(role, folder / f"{role}.npy", **settings) for role in ("fg", "bg"))
    scene = tiny_runs.recipe("scene", folder / "scene.npy", compose=True, **settings)
    adaptive = {"policy": ["colour", "translation", "cutout"], "probability": "auto", "speed_kimg": 0.5}
    noisy = {"kind": "lsgan", "label_noise": 0.1, "label_flips": 0.1, "critic_steps": 2}
    light = {"translator": {"kind": "light", "width": 4, "blocks": 1}}
    trainings: dict[str, Callable[[], Any]] = {
        "wgan": lambda: pretrain(changed(fg, data={**as_dict(fg)["data"], "mirror": True}, augment=adaptive), context),
        "lsgan": lambda: pretrain(changed(bg, objective=noisy, augment={"policy": adaptive["policy"], "probability": 0.5}), context),
        "evolutionary": lambda: pretrain(changed(bg, objective={"kind": "evolutionary", "diversity_weight": 0.5}), context),
        "deviation": lambda: pretrain(changed(fg, critic={**as_dict(fg)["critic"], "batch_deviation": 8}), context),
        "relativistic": lambda: pretrain(changed(bg, objective={"kind": "relativistic", "critic_steps": 1}), context),
        "composition": lambda: compose(
            changed(scene, composer={"fusion": {"kind": "matte", "training_shift": 0.1}, **light}), layers, context
        ),
        "inpainter": lambda: train_inpainter(slow(tiny_runs.inpaint_recipe(folder / "bg.npy", **settings)), context),
    }  # fmt: skip
    for name in plan["kinds"]:
        gradients.clear()
        run = trainings[name]()
        if world.is_leader:
            tensors = {f"gradient {key}": tensor.contiguous() for key, tensor in gradients.items()}
            tensors |= {f"weight {key}": tensor for key, tensor in tiny_runs.trace(run)[0].items()}
            save_file(tensors, folder / f"{name}-{world.size}.safetensors")
            (folder / f"{name}-{world.size}.jsonl").write_bytes(run.stats_file.read_bytes())
        wait_for_all_ranks(world)
    return {}


def batch_figures(world: World, folder: Path) -> dict[str, Any]:
    """What depends on the batch as a whole, of a rank's rows of 8: statistics, a child's fitness, and losses of critics that compare images."""
    from helpers.toy_critics import small_critic
    from mitlgan import objectives
    from mitlgan.objectives.score_stats import fooling_rate
    from mitlgan.recipe import EvolutionaryRecipe, RelativisticRecipe, WganGpRecipe
    from mitlgan.runtime.randomness import random_generator
    from mitlgan.training.augmentation import overfitting_sign
    from mitlgan.training.monitor import batch_diversity, midtone_ratio
    from mitlgan.training.ranks import share_batch

    rng = torch.Generator().manual_seed(0)
    real = (torch.randn(8, 3, 4, 4, generator=rng) * torch.linspace(0.1, 1.2, 8).view(8, 1, 1, 1)).clamp(-1, 1)  # ranks get unlike pictures
    fake = (torch.randn(8, 3, 4, 4, generator=rng) * 0.6 + torch.linspace(0.5, -0.5, 8).view(8, 1, 1, 1)).clamp(-1, 1)
    real, fake = world.share.rows(real), world.share.rows(fake)
    found = {"diversity": batch_diversity(fake, real).item(), "midtones": midtone_ratio(fake, real).item()}
    found |= {"fakes_passed": fooling_rate(real.mean((1, 2, 3)), fake.mean((1, 2, 3)))["fakes_passed"]}
    found |= {"sign": overfitting_sign(small_critic(), real, fake), **objectives.build(EvolutionaryRecipe()).fitness(small_critic(), fake, real)}
    for group, recipe in itertools.product((2, 4, 5, 8, 16), (WganGpRecipe(), RelativisticRecipe())):
        critic = small_critic(batch_deviation=group)
        share_batch(critic, world, len(real))
        loss, stats = objectives.build(recipe).critic_loss(critic, real, fake, random_generator(0, "objective", 0, world.share))
        loss.backward()
        average_gradients(critic.parameters(), world)
        figures = {name: stats[name] for name in ("score_real", "score_fake")} | {"loss": loss.detach()}
        figures |= {f"gradient {index}": one.grad.norm() for index, one in enumerate(critic.parameters()) if one.grad is not None}
        found |= {f"{recipe.kind} {group} {name}": figure for name, figure in figures.items()}
    values = torch.tensor([float(value) for value in found.values()], dtype=torch.float64)
    average_tensors([values], world)
    return dict(zip(found, values.tolist(), strict=True))


def first_half(world: World, folder: Path) -> dict[str, Any]:
    """Train three updates."""
    from helpers import tiny_runs
    from mitlgan.stages.context import RunContext
    from mitlgan.stages.pretrain import pretrain

    context = RunContext(world, tiny_runs.Listener(), folder / "runs")
    pretrain(tiny_runs.recipe("bg", folder / "bg.npy", updates=2 * 3, batch=2 * tiny_runs.BATCH), context)
    return {}


def second_half(world: World, folder: Path) -> dict[str, Any]:
    """Continue the only run in `folder`, and say what the leading rank is told."""
    from helpers import tiny_runs
    from mitlgan.stages.context import RunContext
    from mitlgan.stages.resume import resume

    listener = tiny_runs.Listener()
    resume(tiny_runs.only_run(folder / "runs").path, RunContext(world, listener, folder), more_kimg=3 * 2 * tiny_runs.PER_UPDATE / 1000)
    return {"said": listener.said if world.is_leader else []}


class SmoothImages:
    """Makes images of 8 px from seeds, each from its own seed alone."""

    def sample(self, seeds: Sequence[int]) -> torch.Tensor:
        """Return images (N, 3, 8, 8) in [-1, 1]."""
        images = [torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return nn.functional.interpolate(torch.stack(images), (8, 8), mode="bilinear") * 2 - 1


def evaluation(world: World, folder: Path) -> dict[str, Any]:
    """Measure three chunks of images against real ones; `folder` holds their pack."""
    from mitlgan.data.pack.image_pack import ImagePack
    from mitlgan.metrics.protocol import EvalProtocol, evaluate

    made: list[int] = []

    class Source(SmoothImages):
        def sample(self, seeds: Sequence[int]) -> torch.Tensor:
            made.extend(seeds)
            return super().sample(seeds)

    protocol = EvalProtocol(extractor="efficientnet-lite0@32", samples=600)
    figures = evaluate(Source(), ImagePack.open(folder / "real.npy"), protocol, world=world)
    return {"figures": figures, "made": made}
