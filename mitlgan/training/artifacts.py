"""From a training's state to artifacts: the last one, those kept on the way, and the best of them by a measure."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

from torch import nn

from mitlgan.artifacts.card import Card, LayerCard, artifact_kind, make_card, read_card
from mitlgan.artifacts.load_save import CRITIC_FILE, CRITIC_FOLDER, layer_hashes, load_network, save_network
from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.data.open import open_data
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.sources.split_folders import correct_split
from mitlgan.data.splits import resolve_split
from mitlgan.errors import ArtifactError
from mitlgan.metrics.extractors.features import Extractor
from mitlgan.metrics.protocol import COLLAPSE_DIVERSITY, EvalProtocol, evaluate, flat_metrics, open_extractor
from mitlgan.networks import Composer
from mitlgan.recipe import Recipe
from mitlgan.runtime.files import ensure_folder, read_bytes, write_atomically
from mitlgan.runtime.progress import Reporter
from mitlgan.training import run_directory
from mitlgan.training.loop import TrainingSetup
from mitlgan.training.run_directory import JsonlWriter, Run
from mitlgan.training.state import Counters, TrainingState, recalibrate_batchnorm


def export_run(run: Run, recipe: Recipe, problem: TrainingSetup, state: TrainingState) -> None:
    """Write the run's artifact, its moving average, and end the run; a pretraining's critic is kept in a folder beside its generator.

    Raises:
        ArtifactError: A frozen layer moved; nothing is written (FAULTS 11).
    """
    if recipe.command == "pretrain":
        file = run.path / CRITIC_FOLDER / CRITIC_FILE
        ensure_folder(file.parent)
        save_network(file, state.critic, _card(run, recipe, problem, state, state.critic))
    network = recalibrate_batchnorm(state.ema, recipe.seed).cpu()
    save_network(run.path / f"{artifact_kind(network)}.safetensors", network, _card(run, recipe, problem, state, network))
    counters = state.counters
    ended = {"state": "done", "target_kimg": recipe.training.kimg, "eta_s": 0.0}
    account = {key: getattr(counters, key) for key in ("iteration", "kimg", "seconds", "cpu_seconds", "collapsed_at_kimg", "diverged_at_kimg")}
    account["diagnosis"] = counters.trouble
    run.write_status({**run.status(), **ended, **account})


class ArtifactKeeper:
    """Keeps artifacts of the moving average on the way, and on request measures them and keeps the best.

    Args:
        run: Where they lie: `kept/KIMG/`, `best/`, and the measures in `evaluations.jsonl`.
        recipe: Says whether and how they are measured.
        problem: What is trained.
        reporter: Who is told.
    """

    def __init__(self, run: Run, recipe: Recipe, problem: TrainingSetup, reporter: Reporter) -> None:
        self.run, self.recipe, self.problem, self.reporter = run, recipe, problem, reporter
        self._extractor: Extractor | None = None
        if recipe.evaluation.best_by is not None:
            self._extractor = open_extractor(self._protocol())  # absent weights are told before the first step

    def keep(self, state: TrainingState) -> None:
        """Write the moving average as an artifact; measure it where the recipe says so."""
        network = recalibrate_batchnorm(copy.deepcopy(state.ema), self.recipe.seed).cpu()
        path = self.run.path / "kept" / f"{state.counters.kimg:010.3f}" / f"{artifact_kind(network)}.safetensors"
        ensure_folder(path.parent, root=self.run.path)
        card = _card(self.run, self.recipe, self.problem, state, network)
        save_network(path, network, card)
        if self._extractor is not None:
            self._measure(network, card)

    def discard_after(self, iteration: int) -> None:
        """Drop what was kept after a checkpoint that training goes on from."""
        for path in self.run.kept_artifacts():
            if read_card(path).iterations > iteration:
                shutil.rmtree(path.parent)
        run_directory.truncate_jsonl(self.run.evaluations, iteration)
        if not self._remeasure_if_split_changed():
            self._update_best()

    def _remeasure_if_split_changed(self) -> bool:
        """Measure all that was kept, where an earlier version measured it on another split than is there: distances to two sets are not comparable."""
        rows = list(run_directory.read_jsonl(self.run.evaluations))
        if self._extractor is None or not rows:
            return False
        source, now = self.recipe.data.source, self._split(self._real())
        before = "validation" if source == "demo" or (Path(source) / "validation").is_dir() else "train"  # what lines that name no split are of
        others = {str(row.get("split", before)) for row in rows} - {now}
        if not others:
            return False
        self.reporter.say(f"evaluations.jsonl: measured on {', '.join(sorted(others))} pictures before; all that was kept is measured anew on {now}")
        run_directory.truncate_jsonl(self.run.evaluations, -1)
        for path in self.run.kept_artifacts():
            self._measure(*load_network(path))
        return True

    def _split(self, real: ImagePack) -> str:
        """What the pictures that are measured on are of."""
        return correct_split(self._protocol().split, real.content_sha256, self.problem.pack.content_sha256)

    def _real(self) -> ImagePack:
        data = self.recipe.data
        return open_data(data.source, self.recipe.role, self.recipe.size_px, resize=data.resize, split=self._protocol().split)

    def _measure(self, network: nn.Module, card: Card) -> None:
        protocol = self._protocol()
        real = self._real()
        assert self._extractor is not None
        numbers = flat_metrics(evaluate(LoadedArtifact(network, card), real, protocol, network=self._extractor))
        split = self._split(real)
        against = {"split": split, "real": min(protocol.samples, len(real))}
        writer = JsonlWriter(self.run.evaluations)
        writer.write({"iteration": card.iterations, "kimg": card.kimg, "seconds": card.seconds, **numbers, **against})
        writer.close()
        measured = f"FD {numbers['fd']:.1f}, KID {numbers['kid']:.3f}, diversity {numbers['diversity']:.2f} of the real"
        self.reporter.say(f"{card.kimg:.1f} kimg: {measured} ({against['real']:,} {split} pictures)")
        if numbers["diversity"] < COLLAPSE_DIVERSITY and card.iterations:
            self.reporter.say(f"warning: at {card.kimg:.1f} kimg the samples are nearly alike to the extractor")
        self._update_best()

    def _update_best(self) -> None:
        """Copy the best of the kept artifacts to `best/`."""
        measure = self.recipe.evaluation.best_by
        rows = list(run_directory.read_jsonl(self.run.evaluations)) if measure else []
        if not measure or not rows:
            return
        best = min(rows, key=lambda row: float(row[measure]))
        source = next((path for path in self.run.kept_artifacts() if read_card(path).iterations == best["iteration"]), None)
        if source is not None:
            ensure_folder(self.run.path / "best", root=self.run.path)
            for file in (source, source.with_name("card.json")):
                write_atomically(self.run.path / "best" / file.name, read_bytes(file, root=self.run.path), root=self.run.path)

    def _protocol(self) -> EvalProtocol:
        recipe = self.recipe
        split = resolve_split(recipe.data.source, recipe.role, "validation")
        return EvalProtocol(extractor=recipe.evaluation.extractors[0], samples=recipe.evaluation.samples, split=split)


def _card(run: Run, recipe: Recipe, problem: TrainingSetup, state: TrainingState, network: nn.Module) -> Card:
    """The card, with the proof that frozen layers did not move."""
    layers = {name: LayerCard.model_validate_json(json.dumps(card)) for name, card in problem.header["layers"].items()}
    if isinstance(network, Composer):
        layers = _verify_frozen(run.path, layers, network, state.generator)
    counters = state.counters
    return make_card(
        network, recipe, layers=layers, parent=dict(problem.header.get("parent", {})), kimg=counters.kimg, iterations=counters.iteration,
        data={"source": recipe.data.source, "count": len(problem.pack), "content_sha256": problem.pack.content_sha256},
        seconds=round(counters.seconds, 3), cpu_seconds=round(counters.cpu_seconds, 3),
        licence="MIT" if recipe.data.source == "demo" else "", credit=str(problem.pack.manifest.get("licence") or ""),
        notes="; ".join(_notes(counters)),
    )  # fmt: skip


def _notes(counters: Counters) -> list[str]:
    """What went wrong, with its date."""
    collapsed = [f"collapsed at {counters.collapsed_at_kimg:.1f} kimg"] if counters.collapsed_at_kimg is not None else []
    return collapsed + ([counters.trouble] if counters.trouble else [])


def _verify_frozen(run: Path, layers: dict[str, LayerCard], average: Composer, trained: nn.Module) -> dict[str, LayerCard]:
    """Cards with the hashes after training.

    Raises:
        ArtifactError: A frozen layer moved; nothing is written (FAULTS 11).
    """
    assert isinstance(trained, Composer)
    after = layer_hashes(average)
    for name, digest in layer_hashes(trained).items():
        if digest != layers[name].sha256_before or after[name] != digest:
            before = layers[name].sha256_before[:12]
            raise ArtifactError(f"{run}: frozen layer {name} moved during training ({before} -> {digest[:12]}); no artifact was written")
    return {name: layer.model_copy(update={"sha256_after": after[name]}) for name, layer in layers.items()}
