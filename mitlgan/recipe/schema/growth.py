"""The check that grown generators and critics share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mitlgan.recipe.schema.critics import GrownCriticRecipe
    from mitlgan.recipe.schema.generators import ParentedGeneratorRecipe


def require_growable(part: str, grown: ParentedGeneratorRecipe | GrownCriticRecipe, size_px: int, lacks: str) -> None:
    """Refuse, by a ValueError, a size that the parent cannot grow to, or a parent that cannot be grown.

    Args:
        part: Name of the table, for messages.
        grown: The grown network.
        size_px: Its size.
        lacks: What a parent of dense layers lacks.
    """
    parent, parent_px = grown.parent, grown.parent_px
    if size_px not in (2 * parent_px, 4 * parent_px):
        parents = f"give a parent of {size_px // 2} or {size_px // 4} px"
        raise ValueError(f"{part}.parent_px is {parent_px}, which does not grow to size_px = {size_px}; {parents}")
    if parent.kind == "mlp":
        raise ValueError(f'{part}.parent.kind = "mlp" has no {lacks}; give a convolutional parent')
    if parent.kind == "projected":
        raise ValueError(f'{part}.parent.kind = "projected" looks through a fixed network, to which no block can be added; give a new critic')
    if parent.kind == "style":
        raise ValueError(f'{part}.parent.kind = "style" cannot be grown, since its style enters every block; train it at size_px = {size_px}')
    if getattr(parent, "scales", None) is not None:
        raise ValueError(
            f"{part}.parent.scales = {getattr(parent, 'scales', None)}: several critics have no one block to grow from; give a parent of one"
        )
    if getattr(parent, "heads", None) == "skip":
        raise ValueError(
            f'{part}.parent.heads = "skip" has no features apart from its image, which growing starts from; give a parent of heads = "last"'
        )
    if parent.image_channels != grown.image_channels:
        raise ValueError(f"{part}.parent.image_channels is {parent.image_channels}, {part}.image_channels {grown.image_channels}; make them equal")
    parent.require_size(parent_px)
