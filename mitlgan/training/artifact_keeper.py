"""Artifacts that are kept during a training, their evaluation, and the best of them."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mitlgan.artifacts.card import Card, LayerCard, networks_of_critics, read_card
from mitlgan.artifacts.load_save import CARD_FILE, load_network, save_network
from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.artifacts.times import TIMES_FILE
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.data.sources.split_folders import correct_split
from mitlgan.data.splits import resolve_split
from mitlgan.metrics.diversity import COLLAPSE_DIVERSITY
from mitlgan.metrics.extractors.extractor import Extractor
from mitlgan.metrics.open_extractors import open_extractors
from mitlgan.metrics.protocol import EvalProtocol, evaluate, flat_metrics
from mitlgan.networks import Network
from mitlgan.networks.batchnorm import recalibrate_batchnorm
from mitlgan.recipe import Recipe, as_dict
from mitlgan.runtime.files import ensure_folder, is_regular, list_files, read_bytes, write_atomically
from mitlgan.runtime.json_files import JsonlWriter, read_log, truncate_jsonl
from mitlgan.runtime.progress import Reporter, format_kimg
from mitlgan.training.export import make_training_card
from mitlgan.training.run_directory import Run
from mitlgan.training.setup import TrainingSetup
from mitlgan.training.state import TrainingState


class ArtifactKeeper:
    """Saves the moving average during a training; where the recipe asks for it, evaluates what it saved and keeps the best.

    Args:
        run: Artifacts are written to its `kept/KIMG/` and `best/`, metrics to `evaluations.jsonl`.
        recipe: Says whether and how artifacts are evaluated.
        setup: Pictures and the cards of frozen layers.
        reporter: Shows the metrics.

    Raises:
        UsageError: The extractor's weights are absent, or it cannot judge because a critic looks through its network.
    """

    def __init__(self, run: Run, recipe: Recipe, setup: TrainingSetup, reporter: Reporter) -> None:
        self.run, self.recipe, self.setup, self.reporter = run, recipe, setup, reporter
        self._extractor: Extractor | None = None
        self._real: ImagePack | None = None  # opened once, so that all that one process measures is against the same pictures
        if recipe.evaluation.best_by is not None:
            layers = [LayerCard.model_validate_json(json.dumps(card)) for card in setup.header["layers"].values()]
            taught_by = networks_of_critics(as_dict(recipe), setup.header.get("parent", {}), layers)
            protocol = self._protocol()
            self._extractor = open_extractors(protocol, [protocol.extractor], critic_networks=taught_by)[protocol.extractor]

    def keep(self, state: TrainingState) -> Network:
        """Write the moving average as an artifact, evaluate it if the recipe asks for that, and return the network."""
        network = recalibrate_batchnorm(copy.deepcopy(state.ema), self.recipe.seed).cpu()
        path = self.run.kept_folder(state.counters.kimg) / f"{network.kind}.safetensors"
        ensure_folder(path.parent, root=self.run.path)
        card = make_training_card(self.run, self.recipe, self.setup, state, network)
        save_network(path, network, card, root=self.run.path)
        if self._extractor is not None:
            self._evaluate(network, card, self._extractor)
        return network

    def restore(self, iteration: int) -> None:
        """Bring what was kept to the state of the checkpoint that a training resumes from, wherever an earlier process was killed."""
        for path in self.run.list_kept_artifacts():
            if read_card(path).iterations > iteration:
                path.unlink()
        kept = {path.parent for path in self.run.list_kept_artifacts()}
        for folder in list_files(self.run.path / "kept", "*", root=self.run.path):
            if folder not in kept and folder.is_dir() and not folder.is_symlink():
                for name in (CARD_FILE, TIMES_FILE):
                    (folder / name).unlink(missing_ok=True)
                with suppress(OSError):  # not empty: somebody else's files
                    folder.rmdir()
        truncate_jsonl(self.run.evaluations_file, iteration, self.reporter.say)
        if self._extractor is not None:
            self._evaluate_missing(self._extractor)
        self._update_best()

    def _evaluate_missing(self, extractor: Extractor) -> None:
        """Evaluate the artifacts without a row, or all unless every row is of the pictures of now: distances to two sets cannot be compared."""
        rows = list(read_log(self.run.evaluations_file))
        artifacts = self.run.list_kept_artifacts()
        if not artifacts:
            return
        if remark := self._pictures_remark(rows):
            self.reporter.say(f"evaluations.jsonl: {remark}")
            truncate_jsonl(self.run.evaluations_file, -1)
            rows = []
        evaluated = {row["iteration"] for row in rows}
        first = next((number for number, path in enumerate(artifacts) if read_card(path).iterations not in evaluated), len(artifacts))
        for path in artifacts[first:]:
            self._evaluate(*load_network(path), extractor)

    def _pictures_remark(self, rows: Sequence[Mapping[str, Any]]) -> str:
        """Return what is to be said of rows that are of other pictures than those of now, or may be; empty if all are of these."""
        real = self._real_images()
        source, split = self.recipe.data.source, self._split_of(real)
        # Lines of versions that named no split are of the split that those versions used.
        unnamed = "validation" if source == "demo" or (Path(source) / "validation").is_dir() else "train"
        if others := {str(row.get("split", unnamed)) for row in rows} - {split}:
            return f"measured on {', '.join(sorted(others))} pictures before; kept artifacts are measured again on {split}"
        if {row["data_sha256"] for row in rows if "data_sha256" in row} - {real.measured_sha256}:
            return f"the {split} pictures changed since it was written; kept artifacts are measured again on those of now"
        if any("data_sha256" not in row for row in rows):
            return f"an earlier version did not record which {split} pictures it measured on; kept artifacts are measured again on those of now"
        return ""

    def _real_images(self) -> ImagePack:
        if self._real is None:
            self._real = open_recipe_data(self.recipe, self._protocol().split)
        return self._real

    def _split_of(self, real: ImagePack) -> str:
        """Return the split that real pictures count as: "train" if the network was trained on them, whatever their folder is called."""
        return correct_split(self._protocol().split, real.content_sha256, self.setup.pack.content_sha256)

    def _evaluate(self, network: Network, card: Card, extractor: Extractor) -> None:
        """Evaluate an artifact, append its metrics to `evaluations.jsonl`, and update the best one."""
        protocol, real = self._protocol(), self._real_images()
        metrics = flat_metrics(evaluate(LoadedArtifact(network, card), real, protocol, extractor=extractor))
        split, count = self._split_of(real), min(protocol.samples, len(real))
        truncate_jsonl(self.run.evaluations_file, card.iterations - 1)  # a row of this artifact from a process that was killed
        writer = JsonlWriter(self.run.evaluations_file)
        writer.write({
            "iteration": card.iterations, "kimg": card.kimg, "seconds": card.seconds, **metrics, "split": split, "real": count,
            "data_sha256": real.measured_sha256,
        })  # fmt: skip
        writer.close()
        summary = f"FD {metrics['fd']:.1f}, KID {metrics['kid']:z.3f}, diversity {metrics['diversity']:.2f} of the real"
        self.reporter.say(f"{format_kimg(card.kimg)} kimg: {summary} ({count:,} {split} pictures)")
        if metrics["diversity"] < COLLAPSE_DIVERSITY and card.iterations:
            self.reporter.say(f"warning: at {format_kimg(card.kimg)} kimg the samples are nearly alike to the extractor")
        self._update_best()

    def _update_best(self) -> None:
        """Copy the best of the kept artifacts to `best/`."""
        metric = self.recipe.evaluation.best_by
        if not metric:
            return
        rows = list(read_log(self.run.evaluations_file))
        if not rows:  # all were later than the checkpoint
            for path in list_files(self.run.path / "best", "*", root=self.run.path):
                path.unlink()
            return
        best = min(rows, key=lambda row: float(row[metric]))
        source = next((path for path in self.run.list_kept_artifacts() if read_card(path).iterations == best["iteration"]), None)
        if source is not None:
            ensure_folder(self.run.path / "best", root=self.run.path)
            times = source.with_name(TIMES_FILE)  # absent if an earlier version kept the artifact
            for file in (*([times] if is_regular(times, root=self.run.path) else []), source, source.with_name(CARD_FILE)):
                write_atomically(self.run.path / "best" / file.name, read_bytes(file, root=self.run.path), root=self.run.path)

    def _protocol(self) -> EvalProtocol:
        recipe = self.recipe
        split = resolve_split(recipe.data.source, recipe.role, "validation")
        return EvalProtocol(extractor=recipe.evaluation.extractors[0], samples=recipe.evaluation.samples, split=split)
