"""One prepared session on a GPU: commands, speed and memory, equality with the CPU, then both layers side by side and their composition.

    python tests/gpu/session.py --out FOLDER [--minutes 12]

or `MITLGAN_GPU_OUT=FOLDER pytest -m gpu tests/gpu`. `results.json` is rewritten after each part, so an end of the machine's time loses only what was
under way. Its tiny form runs on the CPU as a test.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from mitlgan.artifacts.card import GeneratorSpec, read_card
from mitlgan.artifacts.loaded_artifact import load_artifact
from mitlgan.recipe import Recipe, load_recipe, with_overrides
from mitlgan.runtime.distributed import World, resolve_device
from mitlgan.stages.training_speed import measure_iterations, open_loop
from mitlgan.training.run_directory import Run, list_runs

TOLERANCE = 1e-3
"""Largest difference of a value in [-1, 1] between CPU and GPU, in float32 without TF32: an eighth of a step of 8 bits."""
PRECISIONS = ("float32", "bf16")
EQUALITY_SEEDS = range(16)
LAYERS_SHARE, COMPOSITION_SHARE = 0.7, 0.15
"""Shares of the time that is left for the layers, side by side, and for their composition; the rest is starts, exports and copies."""


@dataclass(frozen=True)
class SessionForm:
    """What a session runs.

    Attributes:
        recipes: Name of each stage's recipe: "fg", "bg", "compose", "wgan", and the thesis' own of the first three.
        settings: Of the commands that only show that a stage works: a short length.
        trained: Settings of the layers and the composition that are trained at the end.
        compilers: Values of `training.compile` that are measured.
        measured: Stages whose speed is measured; empty measures all.
        samples: Images that the comparison evaluates.
        data: Pictures by role; empty takes the demo's.
        min_trained_s: Least time for the last part; with less left it is left out, which the results say.
        trained_s: Time of the last part; None takes all that is left.
    """

    recipes: Mapping[str, str]
    settings: Sequence[str]
    trained: Sequence[str] = ()
    compilers: Sequence[str] = ("", "inductor")
    measured: Sequence[str] = ()
    samples: int = 500
    data: Mapping[str, str] = field(default_factory=dict)
    min_trained_s: float = 90.0
    trained_s: float | None = None


FULL = SessionForm(
    {
        "fg": "recommended/fg-128", "bg": "recommended/bg-128", "compose": "recommended/compose-128", "wgan": "recommended/wgan-128",
        "thesis fg": "thesis/pretrain_fg", "thesis bg": "thesis/pretrain_bg", "thesis compose": "thesis/compose",
    },
    ("training.kimg=1.6",),
)  # fmt: skip


def run_in_process_of_its_own(arguments: Sequence[str]) -> None:
    """Run a command of mitlgan.

    Raises:
        CalledProcessError: It failed.
    """
    subprocess.run([sys.executable, "-m", "mitlgan", *arguments], check=True)


@dataclass
class Session:
    """A session on a device.

    Attributes:
        form: What is run.
        device: `cuda`, or `cpu` for a try.
        out: Folder for the results; runs are in a folder next to it that need not come back.
        end_s: Time of `time.monotonic` at which everything must be over.
        run_command: Runs the arguments of one `mitlgan` command.
        results: All figures so far.
    """

    form: SessionForm
    device: str
    out: Path
    end_s: float
    run_command: Callable[[Sequence[str]], None] = run_in_process_of_its_own
    results: dict[str, Any] = field(default_factory=dict)

    @property
    def runs(self) -> Path:
        """Folder of the runs."""
        return self.out / "work" / "runs"

    def run(self) -> dict[str, Any]:
        """Run all parts and return the figures."""
        self.out.mkdir(parents=True, exist_ok=True)
        self.results["machine"] = describe_machine(self.device)
        for name, part in (("commands", self.run_commands), ("speed", self.measure_speed), ("equality", self.compare_devices), ("trained", self.train)):
            self.results[name] = part()
            (self.out / "results.json").write_text(json.dumps(self.results, indent=2) + "\n")
        return self.results

    def run_commands(self) -> dict[str, float]:
        """Run the four commands, and the thesis' composition over the thesis' layers; return the seconds of each."""
        short = [word for setting in self.form.settings for word in ("--set", setting)]
        recipes, seconds = self.form.recipes, {}
        for prefix in ("thesis ", ""):  # the recommended composition is the newest, which `compare` takes
            for role in ("fg", "bg"):
                seconds[f"pretrain {prefix}{role}"] = self.mitlgan("pretrain", role, "--recipe", recipes[prefix + role], *short, *self.data(role))
            layers = [word for role in ("fg", "bg") for word in (f"--{role}", str(artifact(self.run_of("pretrain", recipes[prefix + role]))))]
            seconds[f"{prefix}compose"] = self.mitlgan("compose", *layers, "--recipe", recipes[f"{prefix}compose"], *short, *self.data("scene"))
        seconds["compare"] = self.mitlgan("compare", "--baseline", "paste", "--baseline", "plain-wgan", "--stage-only", "-n", str(self.form.samples))
        return seconds

    def measure_speed(self) -> list[dict[str, Any]]:
        """Return images/s and peak memory of each stage in both precisions, compiled and not."""
        return [
            self.measure_stage(stage, precision, compiler)
            for stage in self.form.measured or self.form.recipes
            for compiler in self.form.compilers
            for precision in PRECISIONS
            if self.end_s - time.monotonic() > self.form.min_trained_s
        ]

    def measure_stage(self, stage: str, precision: str, compiler: str) -> dict[str, Any]:
        """Return images/s and peak memory of one stage; an error of torch is recorded, not raised."""
        settings = [f"training.precision={precision}", *([f"training.compile={compiler}"] if compiler else [])]
        row: dict[str, Any] = {"stage": stage, "precision": precision, "compile": compiler or "no"}
        recipe = load_recipe(self.form.recipes[stage], [*self.form.settings, *settings])
        recipe = with_overrides(recipe, data__source=self.form.data.get(recipe.role, recipe.data.source))
        world = World(0, 1, resolve_device(self.device))
        if world.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        try:
            with open_loop(recipe, world, layers=self.specs(stage, recipe)) as loop:
                seconds, _ = measure_iterations(loop)
        except Exception as error:  # a stage that cannot be compiled must not end the session
            return {**row, "error": str(error).splitlines()[0][:200]}
        row["images_per_s"] = round(recipe.training.batch * recipe.objective.critic_steps / seconds, 1)
        if world.device.type == "cuda":
            row["peak_memory_mb"] = round(torch.cuda.max_memory_allocated() / 1e6)
        return row

    def specs(self, stage: str, recipe: Recipe) -> dict[str, GeneratorSpec]:
        """Return how the layers of a composition are built, by its own recipes of layers; none for other stages."""
        if recipe.composer is None:
            return {}
        prefix = stage.removesuffix("compose")
        layers = {role: load_recipe(self.form.recipes[prefix + role], self.form.settings) for role in ("fg", "bg")}
        return {role: GeneratorSpec(layer.generator, layer.size_px) for role, layer in layers.items() if layer.generator is not None}

    def compare_devices(self) -> dict[str, float]:
        """Return the largest difference of each artifact's images between CPU and device, which is at most `TOLERANCE`."""
        differences = {}
        for stage in ("fg", "bg", "compose", "thesis compose"):
            file = artifact(self.run_of("compose" if stage.endswith("compose") else "pretrain", self.form.recipes[stage]))
            with torch.backends.cudnn.flags(enabled=True, allow_tf32=False), torch.no_grad():
                cpu, gpu = (load_artifact(file, device=device).sample(EQUALITY_SEEDS).float().cpu() for device in ("cpu", self.device))
            differences[stage] = float((cpu - gpu).abs().max())
        return {**differences, "tolerance": TOLERANCE}

    def train(self) -> dict[str, Any]:
        """Train both layers side by side and their composition in the time that is left, and copy their artifacts."""
        left_s = self.form.trained_s or self.end_s - time.monotonic()
        if left_s < self.form.min_trained_s:
            return {"left_out": f"{left_s:.0f} s were left"}
        root = self.out / "work" / "trained"
        limit = ["--set", f"training.limit_s={left_s * LAYERS_SHARE:.1f}", "--set", "training.kimg=100000", *self.trained_settings()]
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "mitlgan", *self.words(root, "pretrain", role, "--recipe", self.form.recipes[role], *limit, *self.data(role))]
            )
            for role in ("fg", "bg")
        ]
        if codes := [process.returncode for process in processes if process.wait()]:
            raise RuntimeError(f"a layer's training ended with exit codes {codes}")
        limit[1] = f"training.limit_s={left_s * COMPOSITION_SHARE:.1f}"
        self.run_command(self.words(root, "compose", "--recipe", self.form.recipes["compose"], *limit, *self.data("scene")))
        rows = {}
        for run in list_runs(root):
            card, status = read_card(artifact(run)), run.read_status()
            name = f"{card.role}-{card.size_px}" if card.kind == "generator" else f"composer-{card.size_px}"
            shutil.copyfile(artifact(run), self.out / f"{name}.safetensors")
            shutil.copyfile(run.progress_file, self.out / f"{name}.webp")
            rows[name] = {"kimg": card.kimg, "seconds": card.seconds, "images_per_s": round(float(status.get("images_per_s") or 0.0), 1)}
        return rows

    def trained_settings(self) -> list[str]:
        """Return the options of the trainings at the end; a length in seconds allows no schedule."""
        none = [f"{optimiser}.schedule=none" for optimiser in ("generator_optimiser", "critic_optimiser")]
        return [word for setting in (*none, *self.form.trained) for word in ("--set", setting)]

    def data(self, role: str) -> list[str]:
        """Return the option that names the pictures of a role, if they are not the demo's."""
        return ["--data", self.form.data[role]] if role in self.form.data else []

    def mitlgan(self, *arguments: str) -> float:
        """Run a command on the session's runs and return its seconds."""
        start_s = time.monotonic()
        self.run_command(self.words(self.runs, *arguments))
        return round(time.monotonic() - start_s, 1)

    def words(self, root: Path, *arguments: str) -> list[str]:
        """Return the arguments of a command that writes under a folder."""
        return [*arguments, "--device", self.device, "--out", str(root)]

    def run_of(self, command: str, recipe: str) -> Run:
        """Return the newest run of a recipe."""
        name = load_recipe(recipe).name
        return [run for run in list_runs(self.runs, command) if run.load_recipe().name == name][-1]


def artifact(run: Run) -> Path:
    """Return the artifact of a finished run."""
    assert run.artifact_file is not None, run.path
    return run.artifact_file


def describe_machine(device: str) -> dict[str, str]:
    """Return what the figures were measured on."""
    name = torch.cuda.get_device_name() if device == "cuda" else platform.machine()
    return {"device": name, "torch": torch.__version__, "python": platform.python_version()}


def main() -> None:
    """Run the full session."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of results.json, artifacts and animations")
    parser.add_argument("--minutes", type=float, default=12.0, help="length of the whole session")
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    results = Session(FULL, options.device, options.out, time.monotonic() + 60 * options.minutes).run()
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
