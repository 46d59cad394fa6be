"""A training step by part, and its share of this machine's own speed in matrix products and convolutions."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from mitlgan import networks
from mitlgan.bench.timing import spread_of
from mitlgan.data.demo import demo_pack
from mitlgan.networks.complexity import OperationCounter
from mitlgan.recipe import load_recipe
from mitlgan.runtime.distributed import World
from mitlgan.runtime.progress import SilentReporter
from mitlgan.stages.setup import make_setup
from mitlgan.training import run_directory
from mitlgan.training.loop import TrainingLoop

RECIPES = ("recommended/bg-32", "recommended/wgan-32", "recommended/bg-64-grown", "recommended/bg-128")
PARTS = (
    "data",
    "generator",
    "critic on real",
    "critic on generated",
    "penalty and loss of the critic",
    "critic's backward",
    "critic for the generator",
    "generator's backward",
    "optimisers",
    "moving average",
    "statistics and rest",
)
"""Parts of a step. Under a gradient penalty the critic scores real and generated pictures in one pass, which is "critic on real", and mixed ones in
another, which is "critic on generated"."""
CONV_CHANNELS, CONV_PX, CONV_BATCH = 64, 32, 16
MATMUL_SIDE = 1024
MACHINE_REPEATS = 9


class PartTimer:
    """Counts CPU time for the part that a training step is in."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self._part, self._since_s = PARTS[-1], time.process_time()

    def switch(self, part: str) -> str:
        """Begin a part; return the one before."""
        now_s, before = time.process_time(), self._part
        self.seconds[before] += now_s - self._since_s
        self._part, self._since_s = part, now_s
        return before

    def around(self, function: Callable[..., Any], part: Callable[[], str], after: str | None = None) -> Callable[..., Any]:
        """Return a function whose time counts for a part; afterwards comes another one, by default the part before."""

        def timed(*arguments: Any, **named: Any) -> Any:
            before = self.switch(part())
            try:
                return function(*arguments, **named)
            finally:
                self.switch(after or before)

        return timed


def measure_steps(quick: bool) -> dict[str, Any]:
    """Return the speed of this machine, and by recipe the milliseconds of each part of a step and the step's share of that speed."""
    gflops = measure_machine_gflops()
    return {"gflops": gflops, "recipes": {name: measure_step(name, 5 if quick else 15, gflops) for name in (RECIPES[:2] if quick else RECIPES)}}


def measure_step(recipe_name: str, steps: int, gflops: Mapping[str, float]) -> dict[str, Any]:
    """Return the cost of a recipe's step, in CPU time."""
    with tempfile.TemporaryDirectory() as folder:
        loop = make_loop(recipe_name, Path(folder))
        loop.train_iteration()
        with OperationCounter() as counter:
            loop.train_iteration()
        timer = PartTimer()
        watch_parts(loop, timer)
        parts: dict[str, list[float]] = {part: [] for part in PARTS}
        for _ in range(steps):
            timer.seconds = dict.fromkeys(PARTS, 0.0)
            timer.switch(PARTS[-1])
            loop.train_iteration()
            timer.switch(PARTS[-1])
            for part, seconds in timer.seconds.items():
                parts[part].append(seconds * 1000)
    totals_ms = [sum(values) for values in zip(*parts.values(), strict=True)]
    total = spread_of(totals_ms)
    speed = counter.total / total["median"] / 1e6
    return {
        "ms": total,
        "images_per_s": loop.recipe.training.batch * loop.recipe.objective.critic_steps / total["median"] * 1000,
        "parts_ms": {part: spread_of(values) for part, values in parts.items()},
        "gflops": speed,
        "share_of": {name: speed / value for name, value in gflops.items()},
    }


def make_loop(recipe_name: str, folder: Path) -> TrainingLoop:
    """Return the loop of a shipped recipe on the demo's pictures, not begun."""
    recipe = load_recipe(recipe_name)
    assert recipe.generator is not None
    torch.manual_seed(recipe.seed)
    pack = demo_pack(recipe.role, recipe.size_px)
    setup = make_setup(recipe, networks.build_generator(recipe.generator, recipe.size_px), pack, {})
    recipe = recipe.model_copy(update={"training": recipe.training.model_copy(update={"critic_first_kimg": None})})
    run = run_directory.create_run(folder, "bench", "step")
    return TrainingLoop(run, recipe, setup, World(0, 1, torch.device("cpu")), SilentReporter())


def watch_parts(loop: TrainingLoop, timer: PartTimer) -> None:
    """Let a loop tell a timer which part it is in; the loop's own code stays as it is."""
    state, objective = loop.state, loop.setup.objective
    scored = [0]

    def critic_part() -> str:
        scored[0] += 1
        return "critic on real" if scored[0] == 1 else "critic on generated" if scored[0] == 2 else "penalty and loss of the critic"

    def begin_critic() -> str:
        scored[0] = 0
        return "penalty and loss of the critic"

    def for_generator() -> str:
        scored[0] = -1
        return "critic for the generator"

    watched: list[tuple[Any, str, Callable[[], str], str | None]] = [
        (loop.updates, "real_batch", lambda: "data", None),
        (state.generator, "forward", lambda: "generator", None),
        (objective, "critic_loss", begin_critic, None),
        (objective, "generator_loss", for_generator, None),
        (state.critic, "forward", lambda: critic_part() if scored[0] >= 0 else "critic for the generator", None),
        (state.critic_optimiser, "step", lambda: "optimisers", PARTS[-1]),
        (state.generator_optimiser, "step", lambda: "optimisers", PARTS[-1]),
        (state, "update_ema", lambda: "moving average", None),
    ]
    for owner, name, part, after in watched:
        setattr(owner, name, timer.around(getattr(owner, name), part, after))
    step = loop.updates.optimizer_step
    steps = {
        id(state.critic_optimiser): timer.around(step, lambda: "critic's backward"),
        id(state.generator_optimiser): timer.around(step, lambda: "generator's backward"),
    }
    vars(loop.updates)["optimizer_step"] = lambda loss, optimiser, parameters: steps[id(optimiser)](loss, optimiser, parameters)


def measure_machine_gflops() -> dict[str, float]:
    """Return the speed of a matrix product and of a 3 x 3 convolution, in billions of float32 operations per second of CPU time."""
    square = torch.rand(MATMUL_SIDE, MATMUL_SIDE)
    images, weight = torch.rand(CONV_BATCH, CONV_CHANNELS, CONV_PX, CONV_PX), torch.rand(CONV_CHANNELS, CONV_CHANNELS, 3, 3)
    operations = {"matmul": 2.0 * MATMUL_SIDE**3, "convolution": 2.0 * CONV_BATCH * CONV_PX**2 * CONV_CHANNELS**2 * 9}
    work = {"matmul": lambda: square @ square, "convolution": lambda: torch.nn.functional.conv2d(images, weight, padding=1)}
    return {name: operations[name] / _median_cpu_s(work[name]) / 1e9 for name in work}


def _median_cpu_s(work: Callable[[], Any]) -> float:
    times_s = []
    for _ in range(MACHINE_REPEATS + 2):
        start_s = time.process_time()
        work()
        times_s.append(time.process_time() - start_s)
    return statistics.median(times_s[2:])


def format_steps(results: Mapping[str, Any]) -> list[str]:
    """Return the results as lines of text."""
    lines = [f"this machine              {results['gflops']['matmul']:.0f} GFLOP/s matmul, {results['gflops']['convolution']:.0f} convolution"]
    for name, row in results["recipes"].items():
        shares = ", ".join(f"{share:.0%} of its {kind}" for kind, share in row["share_of"].items())
        lines.append(
            f"{'step of ' + name:<40} {row['ms']['median']:.1f} ms ({row['ms']['min']:.1f} to {row['ms']['max']:.1f}), "
            f"{row['images_per_s']:.0f} images/s, {row['gflops']:.0f} GFLOP/s: {shares}"
        )
        parts = sorted(row["parts_ms"].items(), key=lambda item: -item[1]["median"])
        total_ms = row["ms"]["median"]
        lines += [f"  {part:<38}{spread['median']:8.2f} ms {spread['median'] / total_ms:5.0%}" for part, spread in parts if spread["median"] > 0]
    return lines
