"""Held-out pictures, options and card writing of the commands that measure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mitlgan.cli.output import log

if TYPE_CHECKING:
    from mitlgan.artifacts.card import Card
    from mitlgan.artifacts.load_save import Score
    from mitlgan.data.pack.image_pack import ImagePack
    from mitlgan.metrics.extractors.extractor import Extractor as FeatureExtractor
    from mitlgan.recipe import Recipe

Extractor = Annotated[
    str,
    typer.Option(
        "--extractor", metavar="NAME", help="Feature extractor: inception, efficientnet-lite0, mobilenet-v2, digits (grey, 28 px) or timm:NAME."
    ),
]
Record = Annotated[bool, typer.Option("--write-card", help="Write the results into the artifact's card.")]
SHEET_ROWS = 8
"""Rows of a sheet of measured pictures."""


def recipe_with_data(card: Card, path: Path, data: str | None) -> Recipe:
    """Return the recipe of an artifact in a file with the data that `--data` names; see `stages.evaluate.recipe_of_card`."""
    from mitlgan.stages.evaluate import recipe_of_card

    return recipe_of_card(card, path, data, log)


def real_pictures(recipe: Recipe, card: Card | None, split: str | None, default: str) -> tuple[ImagePack, str]:
    """Open the held-out images for evaluating an artifact, and name their split; see `stages.evaluate.open_real_pictures`."""
    from mitlgan.stages.evaluate import open_real_pictures

    return open_real_pictures(recipe, card, split, default, log)


def open_judge(extractor: str, weights: Path | None, cards: Sequence[Card], device: str = "cpu") -> FeatureExtractor:
    """Open an extractor that may judge artifacts; see `metrics.open_extractors.require_independent`."""
    from mitlgan.metrics.extractors.registry import open_extractor
    from mitlgan.metrics.open_extractors import require_independent

    for card in cards:
        require_independent(extractor, card.critic_networks())
    return open_extractor(extractor, weights, device=device)


def check_places(artifact: Path, picture: Path | None, *, records: bool) -> None:
    """Check, before anything is measured, that the artifact's card and a picture can be written.

    Args:
        artifact: Its file.
        picture: The picture to write, if any.
        records: Whether results go into the card.

    Raises:
        MitlganError: One of them cannot.
    """
    from mitlgan.artifacts.load_save import check_card
    from mitlgan.runtime.output_folders import require_writable

    if records:
        check_card(artifact)
    if picture is not None:
        require_writable(picture)


def write_into_card(path: Path, name: Score, measured: dict[str, Any], measured_sha256: str) -> None:
    """Write results under a name into the card of the artifact whose tensors were measured, and keep those that it has; see `record_metrics`."""
    from mitlgan.artifacts.card import read_card
    from mitlgan.artifacts.load_save import record_metrics

    record_metrics(path, {**read_card(path).metrics, name: measured}, measured_sha256)
    log(f"{path}: the results are in its card now")
