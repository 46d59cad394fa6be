"""How training scales with the number of processes: a model on paper, and a check of it on this machine by CPU time.

python recipes/cluster/scaling.py recommended/wgan-128 --batch 64              # the model, at 1, 8 and 64 GPUs
python recipes/cluster/scaling.py recommended/wgan-32 --measure --ranks 1 2 4   # CPU time of 1, 2 and 4 processes with one whole batch
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mitlgan import networks, objectives
from mitlgan.compare.budgets import training_macs
from mitlgan.recipe import Recipe, load_recipe

BYTES_PER_NUMBER = 4


@dataclass(frozen=True)
class Hardware:
    """Assumptions.

    Attributes:
        tflops: Floating-point operations that a GPU does per second in these networks, in 1e12: far below its peak, as images are small.
        gigabytes_per_s: What a ring all-reduce moves per second and GPU, in each direction.
        latency_us: Time of one step of a ring, however small the message.
    """

    tflops: float
    gigabytes_per_s: float
    latency_us: float

    def all_reduce_s(self, size_bytes: float, ranks: int) -> float:
        """Return the time of a ring all-reduce: 2 (R - 1) steps, each of size / R bytes."""
        steps = 2 * (ranks - 1)
        return steps * (size_bytes / ranks / (1e9 * self.gigabytes_per_s) + 1e-6 * self.latency_us)


@dataclass(frozen=True)
class Iteration:
    """What one iteration (all critic updates, one generator update) costs.

    Attributes:
        macs_per_image: Multiply-accumulates for each real image.
        critic_steps: Critic updates.
        critic_bytes: Gradients of the critic.
        generator_bytes: Gradients of the generator.
        norms: BatchNorm layers that train; each reduces two vectors forward and two backward.
        norm_bytes: The bytes of one of each.
    """

    macs_per_image: float
    critic_steps: int
    critic_bytes: int
    generator_bytes: int
    norms: int
    norm_bytes: int

    def messages(self) -> list[float]:
        """Return the size of each all-reduce of one iteration, in bytes."""
        flag, statistics = 8, 100
        critic_update = [self.critic_bytes, flag] + [self.norm_bytes / max(1, self.norms)] * 2 * self.norms
        generator_update = [self.generator_bytes, flag] + [self.norm_bytes / max(1, self.norms)] * 4 * self.norms
        return critic_update * self.critic_steps + generator_update + [2 * self.norm_bytes, statistics, flag, flag]

    def efficiency(self, hardware: Hardware, batch: int, ranks: int) -> float:
        """Return the share of the time in which GPUs compute, if nothing overlaps.

        Args:
            hardware: Assumptions.
            batch: Images of one rank.
            ranks: Number of GPUs.
        """
        compute_s = 2 * self.macs_per_image * batch * self.critic_steps / (1e12 * hardware.tflops)
        return compute_s / (compute_s + sum(hardware.all_reduce_s(size, ranks) for size in self.messages()))


def iteration_of(recipe: Recipe) -> Iteration:
    """Return the cost of an iteration of a recipe with a generator."""
    if recipe.generator is None:
        raise SystemExit("RECIPE: give one with a [generator]")
    kimg = recipe.training.kimg
    generator, critic = networks.build_generator(recipe.generator, recipe.size_px), networks.build_critic(recipe.critic, recipe.size_px)
    norms = [module for module in generator.modules() if isinstance(module, _BatchNorm)]
    return Iteration(
        macs_per_image=1e9 * training_macs(recipe, {}, kimg) / kimg, critic_steps=objectives.build(recipe.objective).critic_steps,
        critic_bytes=_size_bytes(critic), generator_bytes=_size_bytes(generator), norms=len(norms),
        norm_bytes=BYTES_PER_NUMBER * sum(norm.num_features for norm in norms),
    )  # fmt: skip


def _size_bytes(network: nn.Module) -> int:
    return BYTES_PER_NUMBER * sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def expect(measured: dict[int, float], ranks: int) -> float:
    """Return the CPU time of one process if it is work / R + fixed, by the first two measurements.

    The work of the images is divided among the processes; optimisers, moving average, statistics and all-reduces cost each of them the same.
    """
    (first, first_s), (second, second_s) = list(measured.items())[:2]
    work_s = (first_s - second_s) / (1 / first - 1 / second)
    return work_s / ranks + first_s - work_s / first


def measure(recipe: str, ranks: int, kimg: float, batch: int) -> float:
    """Return the CPU seconds of one process, of the training alone, on the demo's pictures."""
    with tempfile.TemporaryDirectory() as folder:
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)] if ranks > 1 else [sys.executable]
        options = ["--data", "demo", "--out", folder, "--device", "cpu", "--set", f"training.kimg={kimg}", "--set", f"training.batch={batch}", "--json"]
        command = [*launcher, "-m", "mitlgan", "train", recipe, *options]
        ended = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        status = json.loads(ended.stdout.splitlines()[-1])
        times = json.loads((Path(status["artifact"]).parent / "times.json").read_text(encoding="utf-8"))
        return float(times["cpu_seconds"])


def main() -> None:
    """Print one of both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--batch", type=int, default=64, help="images of one GPU; with --measure, of all processes together")
    parser.add_argument("--tflops", type=float, default=10.0)
    parser.add_argument("--gigabytes-per-s", type=float, default=20.0)
    parser.add_argument("--latency-us", type=float, default=5.0)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--kimg", type=float, default=2.0)
    values = parser.parse_args()
    if values.measure:
        print("| processes | CPU seconds of one | by the first two: work / R + fixed | of all |\n|--:|--:|--:|--:|")
        measured: dict[int, float] = {}
        for ranks in values.ranks:
            measured[ranks] = measure(values.recipe, ranks, values.kimg, values.batch)
            expected = f"{expect(measured, ranks):.1f}" if len(measured) > 2 else ""
            print(f"| {ranks} | {measured[ranks]:.1f} | {expected} | {measured[ranks] * ranks:.1f} |", flush=True)
        return
    iteration = iteration_of(load_recipe(values.recipe))
    hardware = Hardware(values.tflops, values.gigabytes_per_s, values.latency_us)
    print(f"{iteration.critic_bytes / 1e6:.2f} MB critic, {iteration.generator_bytes / 1e6:.2f} MB generator, {len(iteration.messages())} all-reduces")
    print("| GPUs | efficiency |\n|--:|--:|")
    for ranks in values.ranks:
        print(f"| {ranks} | {100 * iteration.efficiency(hardware, values.batch, ranks):.0f} % |")


if __name__ == "__main__":
    main()
