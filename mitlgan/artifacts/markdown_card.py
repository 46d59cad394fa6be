"""An artifact's card for people, in Markdown: what it makes, of what, how good, how to use it, whose work is in it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mitlgan.artifacts.card import Card
from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.errors import to_one_line
from mitlgan.networks import count_parameters
from mitlgan.recipe import display_name_of

KINDS = {"generator": "A generator", "composer": "A composition of frozen generators"}
MAKES = {"fg": "foregrounds, the front layer of a composition", "bg": "backgrounds, the back layer of a composition", "scene": "whole pictures"}
MAX_CHARS = 300


def markdown_card(artifact: LoadedArtifact) -> str:
    """The card as Markdown.

    Whatever stands in the artifact's own fields may come from anywhere, so it is shown as text: no markup, no line breaks, no HTML.

    Args:
        artifact: Generator or composer.
    """
    card = artifact.card
    name = display_name_of(card.recipe, card.role)
    of = f"{KINDS[card.kind]}, which makes {MAKES.get(card.role, card.role)}"
    parts = [f"# {escape_markdown(name)}", f"{of}: {card.size_px} x {card.size_px} px, {_colours(card)}.", _facts(artifact)]
    if card.layers:
        parts += ["## Layers", _layers(card)]
    if metrics := _metrics(card.metrics):
        parts += ["## Figures", metrics]
    parts += ["## Use", _use(card)]
    if card.notes:
        parts += ["## Notes", escape_markdown(card.notes)]
    return "\n\n".join(parts) + "\n"


def escape_markdown(value: Any) -> str:
    """Text that no Markdown reader takes for more: one line, its signs escaped, cut where it is very long."""
    text = to_one_line(" ".join(str(value).split()))
    text = text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "…"
    return re.sub(r"([\\`*_{}\[\]<>#|~&!])", r"\\\1", text)


def _colours(card: Card) -> str:
    return {1: "grey", 3: "RGB", 4: "RGB premultiplied by the alpha that is its fourth channel"}[card.image_channels]


def _facts(artifact: LoadedArtifact) -> str:
    card = artifact.card
    latents = ", ".join(f"{name} ({dim})" for name, dim in card.latent_dims.items())
    data = ", ".join(f"{key} {value}" for key, value in card.data.items() if key in ("source", "count", "content_sha256"))
    rows = {
        "latents, standard normal": latents,
        "parameters": f"{count_parameters(artifact.network).parameters:,}, BatchNorm statistics counted",
        "trained on": data or "not said",
        "length": f"{card.kimg:,.0f} kimg, {card.iterations:,} generator updates, {card.seconds / 60:,.0f} min",
        "licence of the weights": card.licence or "not said",
        "pictures": card.credit or "not said",
        "made by": card.made_by,
        "SHA-256 of the tensors": artifact.tensors_sha256,
    }
    return _table(("", ""), list(rows.items()))


def _layers(card: Card) -> str:
    rows = []
    for name, layer in card.layers.items():
        frozen = "yes, by hash" if layer.sha256_before == layer.sha256_after else "no: its hash changed"
        rows.append((name, layer.role, card.latent_dims.get(name, ""), layer.card.get("kimg", "not said"), frozen))
    return _table(("layer", "trained as", "latent", "kimg", "frozen"), rows)


def _metrics(metrics: Mapping[str, Any]) -> str:
    rows = []
    others = [*metrics.get("by_extractor", {}).values()][1:]
    for found in [value for part in (metrics, *others) for value in part.values()]:
        if isinstance(found, Mapping) and isinstance(found.get("value"), int | float):
            spread = f" ± {found['std']:.3g}" if isinstance(found.get("std"), int | float) else ""
            rows.append(
                (
                    found.get("name", ""),
                    f"{found['value']:.4g}{spread}",
                    found.get("generated", ""),
                    f"{found.get('real', '')}, {found.get('split', '')}",
                )
            )
    return _table(("figure", "value", "generated", "real, split"), list(dict.fromkeys(rows))) if rows else ""


def _use(card: Card) -> str:
    seeds = ", ".join(f'"{name}": [7, 7]' if index == 0 else f'"{name}": [1, 2]' for index, name in enumerate(card.latent_dims))
    return (
        f"```python\nimport mitlgan\n\nartifact = mitlgan.load(PATH)\nimages = artifact.sample([0, 1, 2])\nstages = artifact.layers({{{seeds}}})\n```"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *([escape_markdown(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
