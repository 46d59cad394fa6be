"""The anchors of a comparison and the real pictures of its layers."""

from __future__ import annotations

from pathlib import Path

from mitlgan.artifacts.card import LayerCard
from mitlgan.compare.arm_costs import LAYER_LABELS
from mitlgan.compare.evaluator import CachedEvaluator
from mitlgan.compare.layer_pictures import with_trained_pictures
from mitlgan.compare.trained_arms import DomainRun
from mitlgan.data.demo.real_composite_anchor import composite_anchor_pack
from mitlgan.data.open import open_data
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.recipe_data import open_recipe_data, recorded_backdrop
from mitlgan.errors import DataError, UsageError
from mitlgan.metrics.protocol import flat_metrics
from mitlgan.recipe import is_relative_source, parse_recipe
from mitlgan.report.sample_pictures import evenly_chosen
from mitlgan.report.schema import Anchor, DomainPictures, Picture

ANCHORS = {
    "real_halves": ("Real halves", "two halves of the real scenes, as alike as real pictures are"),
    "real_pasted": ("Real layers, pasted", "real objects on real backgrounds, from the generators' training pictures: perfect layers, no composition"),
    "bare_backgrounds": ("Bare real backgrounds", "no object at all: what a composition must beat"),
}
"""Name -> label and meaning."""


def measure_anchors(domain: DomainRun, evaluator: CachedEvaluator) -> list[Anchor]:
    """Return real halves and, if the layers' pictures are available, real objects pasted on real backgrounds, and bare backgrounds."""
    recipe, card = domain.setup.recipe, domain.card
    packs: dict[str, ImagePack] = {}
    demo_roles = {layer.role for layer in card.layers.values() if _recorded_source(layer) == "demo"}
    if recipe.data.source == "demo" and demo_roles >= {"fg", "bg"}:
        packs["real_pasted"] = composite_anchor_pack(recipe.size_px, count=evaluator.protocol.samples, resize=recipe.data.resize)
    backgrounds = _layer_training_data(domain, card.back_to_front()[0])
    if backgrounds is not None:
        packs["bare_backgrounds"] = backgrounds
    secondary = {one.extractor.name: one.evaluate_anchors(packs) for one in evaluator.secondary}
    anchors = []
    for name, metrics in evaluator.evaluate_anchors(packs).items():
        label, meaning = ANCHORS[name]
        by_extractor = {other: flat_metrics(rows[name]) for other, rows in secondary.items()}
        counts = int(metrics["frechet"]["generated"]), int(metrics["frechet"]["real"])
        if counts != (evaluator.protocol.samples, evaluator.real_count):
            label += " ({:,} against {:,})".format(*counts)
        anchors.append(Anchor(name, label, flat_metrics(metrics), meaning, by_extractor, counts))
    return anchors


def domain_pictures(domain: DomainRun) -> DomainPictures:
    """Return some of the pictures that each layer was trained on, if they are available, and some scenes."""
    recipe = domain.setup.recipe
    pictures = []
    for name in domain.card.layers:
        pack = _layer_training_data(domain, name)
        if pack is not None:
            title = f"Real {LAYER_LABELS[name]}s" if name in LAYER_LABELS else f"Real pictures of {name}"
            pictures.append(Picture(title, evenly_chosen(pack)))
    pictures.append(Picture("Real scenes", evenly_chosen(open_recipe_data(recipe))))
    return DomainPictures(domain.setup.name or Path(recipe.data.source).name, pictures)


def _layer_training_data(domain: DomainRun, name: str) -> ImagePack | None:
    """Return the images that a layer's generator was trained on, if they are available, at the size of the scenes."""
    layer, scenes, setup = domain.card.layers[name], domain.setup.recipe, domain.setup
    place = setup.origins.get(name) or setup.layers.get(name) or domain.arms[0].runs[0].path
    try:
        source, backdrop = _trained_source(layer, place, setup.root), recorded_backdrop(layer.card.get("made_by") or {}, layer.generator.image_channels)
        return open_data(source, layer.role, scenes.size_px, resize=scenes.data.resize, backdrop=backdrop)
    except (DataError, UsageError):
        return None


def _trained_source(layer: LayerCard, place: Path, root: Path | None = None) -> str:
    """Return what the pictures that a layer was trained on are called now; see `with_trained_pictures`.

    Raises:
        UsageError: The card names them by a relative path, and nothing says which pictures it means.
    """
    source = _recorded_source(layer)
    try:
        recipe = parse_recipe(dict(layer.card.get("made_by") or {}))
    except UsageError:  # cards of earlier versions may lack it
        if is_relative_source(source):
            raise
        return source
    return with_trained_pictures(recipe, layer.card, place, root=root).data.source


def _recorded_source(layer: LayerCard) -> str:
    return str(layer.card.get("data", {}).get("source", ""))
