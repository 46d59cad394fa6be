"""An artifact's card in Markdown: what it makes, its training, its metrics, how to use it, and credits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mitlgan.artifacts.card import Card
from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.artifacts.published_card import without_folder
from mitlgan.errors import to_one_line
from mitlgan.networks import count_parameters
from mitlgan.recipe import display_name_of
from mitlgan.runtime.progress import format_duration

KIND_DESCRIPTIONS = {"generator": "A generator", "composer": "A composition of frozen generators"}
ROLE_DESCRIPTIONS = {
    "fg": "foregrounds, the front layer of a composition",
    "bg": "backgrounds, the back layer of a composition",
    "scene": "whole pictures",
}
MAX_CHARS = 300
ROUNDED_FROM = 100
"""Kimg and minutes from which a length is rounded to whole ones."""


def markdown_card(artifact: LoadedArtifact) -> str:
    """Return the card as Markdown.

    Text from the artifact may come from anywhere, so it is escaped: no markup, no line breaks, no HTML.

    Args:
        artifact: Generator or composer.
    """
    card = artifact.card
    name = display_name_of(card.recipe, card.role)
    summary = f"{KIND_DESCRIPTIONS[card.kind]}, which makes {ROLE_DESCRIPTIONS.get(card.role, card.role)}"
    parts = [f"# {escape_markdown(name)}", f"{summary}: {card.size_px} x {card.size_px} px, {_describe_channels(card)}.", _facts_table(artifact)]
    if card.layers:
        parts += ["## Layers", _layers_table(card)]
    if metrics := _metrics_table(card.metrics):
        parts += ["## Figures", metrics]
    parts += ["## Use", _usage(card)]
    if card.notes:
        parts += ["## Notes", escape_markdown(card.notes)]
    return "\n\n".join(parts) + "\n"


def escape_markdown(value: Any) -> str:
    """Escape text for Markdown: one line without markup, cut if it is very long."""
    text = to_one_line(" ".join(str(value).split()))
    text = text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "…"
    return re.sub(r"([\\`*_{}\[\]<>#|~&!])", r"\\\1", text)


def _describe_channels(card: Card) -> str:
    return {1: "grey", 3: "RGB", 4: "RGB premultiplied by the alpha that is its fourth channel"}[card.image_channels]


def _facts_table(artifact: LoadedArtifact) -> str:
    card = artifact.card
    latents = ", ".join(f"{name} ({dim})" for name, dim in card.latent_dims.items())
    data = ", ".join(
        f"{key} {without_folder(str(value))}" for key, value in card.data.items() if key in ("source", "count", "enlarged", "content_sha256")
    )
    rows = {
        "latents, standard normal": latents,
        "parameters": f"{count_parameters(artifact.network).parameters:,}, BatchNorm statistics counted",
        "trained on": data or "not said",
        "length": f"{_describe_kimg(card.kimg)} kimg, {card.iterations:,} generator updates, {_describe_minutes(card.seconds)}",
        **({"looked through by critics": f"{', '.join(sorted(judged))}, by which no figure may judge"} if (judged := card.critic_networks()) else {}),
        "licence of the weights": card.licence or "not said",
        "pictures": card.credit or "not said",
        "made by": card.made_by,
        "SHA-256 of the tensors": artifact.tensors_sha256,
    }
    return _table(("", ""), list(rows.items()))


def _describe_kimg(kimg: float) -> str:
    return f"{kimg:,.0f}" if kimg >= ROUNDED_FROM else f"{kimg:.3g}"


def _describe_minutes(seconds: float) -> str:
    return f"{seconds / 60:,.0f} min" if seconds >= 60 * ROUNDED_FROM else f"{seconds:.3g} s" if seconds < 10 else format_duration(seconds)


def _layers_table(card: Card) -> str:
    rows = []
    for name, layer in card.layers.items():
        frozen = "yes, by hash" if layer.sha256_before == layer.sha256_after else "no: its hash changed"
        rows.append((name, layer.role, card.latent_dims.get(name, ""), layer.card.get("kimg", "not said"), frozen))
    return _table(("layer", "trained as", "latent", "kimg", "frozen"), rows)


def _metrics_table(metrics: Mapping[str, Any]) -> str:
    rows = []
    others = [*metrics.get("by_extractor", {}).values()][1:]
    for metric in [value for part in (metrics, *others) for value in part.values()]:
        if isinstance(metric, Mapping) and isinstance(metric.get("value"), int | float):
            std = f" ± {metric['std']:.3g}" if isinstance(metric.get("std"), int | float) else ""
            rows.append(
                (
                    metric.get("name", ""),
                    f"{metric['value']:.4g}{std}",
                    metric.get("generated", ""),
                    ", ".join(str(metric[key]) for key in ("real", "split") if metric.get(key) not in (None, "")),
                )
            )
    return _table(("figure", "value", "generated", "real, split"), list(dict.fromkeys(rows))) if rows else ""


def _usage(card: Card) -> str:
    seeds = ", ".join(f'"{name}": [7, 7]' if index == 0 else f'"{name}": [1, 2]' for index, name in enumerate(card.latent_dims))
    return (
        f"```python\nimport mitlgan\n\nartifact = mitlgan.load(PATH)\nimages = artifact.sample([0, 1, 2])\nstages = artifact.layers({{{seeds}}})\n```"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *([escape_markdown(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
