"""The report of one run: its curves, its snapshots, what its own numbers say, and what was measured of it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from mitlgan.artifacts.card import Card, read_card, read_weights_hash
from mitlgan.artifacts.load_save import require_same_weights
from mitlgan.artifacts.loaded_artifact import load_artifact
from mitlgan.artifacts.run_steps import list_steps, nearest_step
from mitlgan.artifacts.summary import describe_recipe
from mitlgan.artifacts.training_records import pretraining_records
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.data.sources.split_folders import TRAIN
from mitlgan.errors import MitlganError, UnknownPicturesError
from mitlgan.images.pixels import to_uint8
from mitlgan.metrics.feature_cache import cached_pack_features
from mitlgan.metrics.memorization import Memorization
from mitlgan.metrics.open_extractors import open_extractors
from mitlgan.metrics.protocol import EvalProtocol, flat_metrics
from mitlgan.recipe import Recipe, display_name, ladder_steps
from mitlgan.report.diagnosis import Diagnosis, diagnose, evaluations_of_last_set
from mitlgan.report.formatting import BELOW_ZERO, with_spread
from mitlgan.report.html import ReportPaths, write_report
from mitlgan.report.nearest_pictures import NEAREST_SAMPLES, describe_memorization, find_nearest, pictures_of_pairs
from mitlgan.report.run_figures import are_of_pictures_now, is_of_training_pictures, read_run_figures, say_their_pictures
from mitlgan.report.run_files import run_layers
from mitlgan.report.sample_pictures import PICTURES, evenly_chosen, stage_pictures
from mitlgan.report.schema import ArmResult, Comparison, Cost, Picture, Pixels, StageCost
from mitlgan.report.tables import METRICS
from mitlgan.report.verdict import MIN_PICTURES
from mitlgan.runtime.command_line import command_line
from mitlgan.runtime.json_files import read_log
from mitlgan.runtime.progress import finite, ignore_message
from mitlgan.stages.evaluate import open_real_pictures
from mitlgan.training import run_directory
from mitlgan.training.checkpoint import list_checkpoints
from mitlgan.training.progress_animation import encode_progress
from mitlgan.training.run_directory import Run
from mitlgan.version import __version__

MAX_SMALL_SET = 2000
"""Training pictures up to which a report looks which of them are copied."""


def write_run_report(path: Path) -> tuple[ReportPaths, list[str]]:
    """Write the report of one run, finished or not, into its directory.

    Args:
        path: The run directory.

    Returns:
        The files, and sentences on what the run's own numbers show.

    Raises:
        UsageError: The path is not a run directory.
        ArtifactError: The figures of its network are damaged, or a longer training has just replaced it; nothing is written.
    """
    run = run_directory.open_run(path)
    recipe, pictures, unknown = _load_recipe(run)
    stats, evaluations = list(read_log(run.stats_file)), list(read_log(run.evaluations_file))
    artifact = run.artifact_file
    weights = read_weights_hash(artifact) if artifact is not None else ""
    card = read_card(artifact) if artifact is not None else None
    figures, others, remarks = read_run_figures(run, card)
    layers, samples = _sample_pictures(artifact, card)
    arm = ArmResult(
        name=recipe.name, label=display_name(recipe),
        role="composed" if recipe.composer is not None else "baseline", run_dir=str(run.path), stats=stats,
        timing=list(read_log(run.timing_file)), evaluations=evaluations,
        cost=_cost(run, run.read_status(), recipe, card), layers=layers, samples=samples,
        metrics=flat_metrics(figures) if "frechet" in figures else {}, seeds=(recipe.seed,), notes=_notes(run, card),
        progress=encode_progress(run),
    )  # fmt: skip
    neighbours, memorised = _nearest_pictures(artifact, card, pictures)
    arm = replace(arm, neighbours=neighbours, memorised=memorised)
    diagnosis = diagnose(stats, evaluations)
    quality = [*_quality_sentences(figures, card), *_other_sentences(others, figures, card)]
    quality += [*_picture_sentences(run, pictures, card, figures), *unknown]
    quality += [*remarks, *_network_sentences(run, card)]
    findings = [*quality, *diagnosis.sentences(), *_step_sentences(run, diagnosis), *_split_sentences(figures, evaluations)]
    measured = figures.get("frechet", {})
    protocol = {
        "extractor": recipe.evaluation.extractors[0], **figures.get("protocol", {}),
        **{key: measured[key] for key in ("split", "generated", "real", "data_sha256") if key in measured},
    }  # fmt: skip
    comparison = Comparison(
        title=f"{recipe.name}: {recipe.command} {recipe.role}, {recipe.size_px} px", arms=[arm], findings=findings,
        protocol=protocol, real=_real_pictures(pictures),
        environment={"state": run.read_state(), **_network(card, weights), "data": recipe.data.source, "seed": recipe.seed},
        commands=[command_line(["report", path])], made_by=f"mitlgan {__version__}",
    )  # fmt: skip
    if artifact is not None:
        require_same_weights(artifact, weights)  # all that the page shows is of one network
    return write_report(run.path, comparison, json_name="report.json"), findings  # metrics.json is a comparison's


def _load_recipe(run: Run) -> tuple[Recipe, Recipe | None, list[str]]:
    """Return a run's recipe; the same, to open its pictures, None if nothing says which these are; and what is to be said of that."""
    try:
        recipe = run.load_recipe()
    except UnknownPicturesError as error:
        return run.recorded_recipe(), None, [f"Real pictures are left out: {error}."]
    return recipe, recipe, []


def _notes(run: Run, card: Card | None) -> list[str]:
    """Return the remarks of a run's card; before it has an artifact, those of its newest checkpoint."""
    if card is None:
        with suppress(MitlganError, LookupError):  # damage is for `resume` to report
            card = read_card(list_checkpoints(run.path)[-1])
    return [card.notes] if card is not None and card.notes else []


def _network(card: Card | None, weights: str) -> dict[str, str]:
    """Return which network the page is of: a longer training replaces it, and the page stays until it is written again."""
    return {} if card is None else {"network": f"after {card.iterations:,} iterations; its tensors' SHA-256 begins {weights[:12]}"}


def _network_sentences(run: Run, card: Card | None) -> list[str]:
    """Return of how long a training the network is, if the run has gone on since it was written."""
    if card is None or (reached := _iterations_beyond(run, card)) is None:
        return []
    return [f"The samples, figures and length are of the network after {card.iterations:,} iterations; the training has gone on to {reached:,}."]


def _iterations_beyond(run: Run, card: Card) -> int | None:
    """Return which iteration a training has reached since its network was written; None if it has not gone on."""
    reached = run.read_status().get("iteration")
    return None if run.is_finished or not isinstance(reached, int) or reached <= card.iterations else reached


def _step_sentences(run: Run, diagnosis: Diagnosis) -> list[str]:
    """Return the command that goes back to the best step, or to the nearest one that was kept."""
    best = diagnosis.best if diagnosis.measured_best is None else diagnosis.measured_best[0]
    steps = list_steps(run.path)
    if best is None or not steps:
        return []
    step = nearest_step(steps, best.iteration)
    if diagnosis.measured_best is None and step.iteration in (0, steps[-1].iteration):
        return []  # the untrained network, or where the run is anyway
    away = "" if step.iteration == best.iteration else f" (the nearest step that was kept, {abs(step.iteration - best.iteration):,} iterations away)"
    return [f"Go back to the best step by `{command_line(['sample', f'{run.path}@{step.iteration}'])}`{away}; `evaluate` and `export` take it, too."]


def _quality_sentences(figures: dict[str, Any], card: Card | None) -> list[str]:
    """Return in words what was measured, and how far it can be trusted."""
    measured, value, statement = figures.get("frechet", {}), _kid(figures)[0], _kid_statement(figures, card)
    if value is None or not statement:
        return []
    below = f" Mind that {BELOW_ZERO}." if value < 0 else ""
    sentence = f"{statement}. 0 would be as real ones are.{below}"
    if is_of_training_pictures(figures, card):
        return [f"{sentence} Pictures that it learned from flatter it: hold some out."]
    return [sentence if measured["real"] >= MIN_PICTURES else f"{sentence} With fewer than {MIN_PICTURES}, only large differences mean something."]


def _other_sentences(others: dict[str, Any], figures: dict[str, Any], card: Card | None) -> list[str]:
    """Return what a comparison measured of the same network, whose card has figures of its own, perhaps of other pictures."""
    statement = _kid_statement(others, card)
    if not statement:
        return []
    theirs, own = others["frechet"].get("data_sha256"), figures["frechet"].get("data_sha256")
    is_known = theirs is not None and own is not None
    which = "" if theirs == own else ", but against other pictures" if is_known else ", perhaps against other pictures"
    return [f"These are the figures of its card; a comparison measured it, too{which}: {statement}."]


def _picture_sentences(run: Run, recipe: Recipe | None, card: Card | None, figures: dict[str, Any]) -> list[str]:
    """Return that figures are of other pictures than those that are there now, or may be; nothing where these are not available, or were trained on."""
    split = figures.get("frechet", {}).get("split")
    if card is None or recipe is None or not isinstance(split, str) or is_of_training_pictures(figures, card):
        return []
    with suppress(MitlganError):
        if not are_of_pictures_now(figures, recipe, card, split):
            measure = command_line(["evaluate", run.path, "--write-card"])
            if not say_their_pictures(figures):
                return [f"The figures do not say of which {split} pictures they are; `{measure}` measures against those that its recipe names now."]
            return [f"The figures are of other {split} pictures than those that its recipe names now; `{measure}` measures against these."]
    return []


def _kid_statement(figures: dict[str, Any], card: Card | None) -> str:
    """Return the distance and the pictures that it is of; empty if it was not measured."""
    measured, (value, std) = figures.get("frechet", {}), _kid(figures)
    if not isinstance(measured, dict) or not all(isinstance(measured.get(key), int) for key in ("real", "generated")) or value is None:
        return ""
    elsewhere = "of another set than it was trained on" if measured.get("split") == TRAIN else "held-out ones"
    which = "that it learned from" if is_of_training_pictures(figures, card) else elsewhere
    distance = with_spread(value, std, METRICS[1].report_decimals)
    extractor = str(figures["kid"].get("extractor") or figures.get("protocol", {}).get("extractor") or "")
    return f"KID {distance}{f' by {extractor}' if extractor else ''}: {measured['generated']:,} generated pictures against {measured['real']:,} {which}"


def _kid(figures: dict[str, Any]) -> tuple[float | None, float | None]:
    kid = figures.get("kid", {})
    return (finite(kid.get("value")), finite(kid.get("std"))) if isinstance(kid, dict) else (None, None)


def _split_sentences(figures: dict[str, Any], evaluations: list[dict[str, Any]]) -> list[str]:
    """Return sentences on the splits of figures and evaluations."""
    sentences = []
    measured = figures.get("frechet", {})
    if "split_recorded" in measured:
        sentences.append(f"The figures were recorded as of {measured['split_recorded']}, but they are of the pictures that the network was trained on.")
    sets = dict.fromkeys(
        (row["split"], row["real"], row.get("data_sha256"))
        for row in evaluations if isinstance(row.get("split"), str) and isinstance(row.get("real"), int)
    )  # fmt: skip
    for split, real, pictures in sets:
        which = f", set {pictures[:12]}" if pictures and len(sets) > 1 else "" if pictures else "; an earlier version did not record which ones"
        sentences.append(f"Evaluations during training are against {real:,} real {split} pictures{which}.")
    last = evaluations_of_last_set(evaluations)
    if len(sets) > 1 and len(last) < len(evaluations):
        sentences.append(f"Distances to different pictures cannot be compared: the best measured snapshot is that of the last set's {len(last):,}.")
    return sentences


def _sample_pictures(file: Path | None, card: Card | None) -> tuple[dict[str, Pixels], Pixels | None]:
    """Return every stage of a composition, and samples of any artifact that makes images from latents."""
    if file is None or card is None or card.kind == "inpainter":
        return {}, None
    loaded = load_artifact(file)
    stages = loaded.layers(range(PICTURES))
    return stage_pictures(stages) if loaded.composer is not None else {}, to_uint8(stages.output)


def _real_pictures(recipe: Recipe | None) -> Pixels | None:
    try:
        return None if recipe is None else evenly_chosen(open_recipe_data(recipe))
    except MitlganError:  # a run can be read where its pictures are not available
        return None


def _nearest_pictures(file: Path | None, card: Card | None, recipe: Recipe | None) -> tuple[list[Picture], str]:
    """Return the samples nearest to training pictures, with these, and a sentence of them; nothing of a training set that is not small.

    Looking through few pictures takes seconds, and few are copied most.
    """
    if file is None or card is None or recipe is None or card.kind == "inpainter":
        return [], ""
    try:
        training = open_recipe_data(recipe)
        if len(training) > MAX_SMALL_SET or training.content_sha256 != card.data.get("content_sha256"):
            return [], ""
        real, split = open_real_pictures(recipe, card, None, "test", ignore_message)
        protocol = EvalProtocol(samples=recipe.evaluation.samples)
        extractor = next(iter(open_extractors(protocol, recipe.evaluation.extractors[:1], critic_networks=card.critic_networks()).values()))
    except MitlganError:  # the pictures or the extractor's weights are not available, or it cannot judge
        return [], ""
    loaded, seeds = load_artifact(file), protocol.seeds()[:NEAREST_SAMPLES]
    unseen = cached_pack_features(real, extractor, count=protocol.samples)
    pairs = find_nearest(loaded, seeds, training, unseen, extractor)
    sentence = describe_memorization(Memorization(**pairs["memorization"]), split)
    return [Picture(*picture) for picture in pictures_of_pairs(loaded, seeds, training, pairs)], sentence


def _cost(run: Run, status: dict[str, Any], recipe: Recipe, card: Card | None) -> Cost:
    """Return what the training of a run's network cost, with the pretrainings of its layers, which are unknown as long as there is no artifact."""
    total = describe_recipe(recipe, run_layers(run, recipe))["total"]
    stages = []
    for name, records in ({} if card is None else pretraining_records(card)).items():
        kimg, seconds = (sum(float(record.get(key) or 0.0) for record in records) for key in ("kimg", "seconds"))
        stages.append(StageCost(name, kimg, seconds, pretraining=True))
    if card is None and recipe.composer is not None:
        stages.append(StageCost("layers", None, None, pretraining=True))
    if card is None or _iterations_beyond(run, card) is None:
        stages.append(StageCost(recipe.command, status.get("kimg"), status.get("seconds")))
    else:  # what the training took since is not of the network that was measured
        own = card.training_records()[: len(ladder_steps(recipe))]
        kimg, seconds = (sum(float(record.get(key) or 0.0) for record in own) for key in ("kimg", "seconds"))
        stages.append(StageCost(recipe.command, kimg, seconds))
    return Cost(stages, total["trainable"], total["parameters"], total["multiply_accumulates"])
