"""What is refused where a training begins, and not where a recipe is read: runs of earlier versions have it, and must be read and resumed."""

from __future__ import annotations

from mitlgan.errors import UsageError
from mitlgan.recipe.ladder import ladder_steps, require_generator_learns
from mitlgan.recipe.schema.critics import AnyCritic, critics_down
from mitlgan.recipe.schema.recipe import Recipe


def require_trainable(recipe: Recipe) -> None:
    """Refuse a training whose generator never learns, or whose keys contradict each other.

    Args:
        recipe: Of a training that begins, with all steps of its ladder.

    Raises:
        UsageError: Names the keys, and what to do.
    """
    require_generator_learns(recipe)
    last, key = ladder_steps(recipe)[-1], "critic"  # its critic is as deep as any before
    for critic, size_px in critics_down(last.critic, last.size_px):
        _require_lengths(critic, size_px, key)
        if critic.spectral and last.objective.kind == "wgan_clip":
            raise UsageError(
                f'{key}.spectral = true contradicts objective.kind = "wgan_clip": weights that are normalised need no clipping; use one of them'
            )
        key += ".parent"


def _require_lengths(critic: AnyCritic, size_px: int, key: str) -> None:
    """Refuse lists that a strided critic's `base_width` leaves no use for."""
    if critic.kind != "strided" or critic.base_width is None:
        return
    if critic.widths != type(critic).model_fields["widths"].default:
        raise UsageError(f"{key}.widths contradicts {key}.base_width, which gives the channels of each convolution; remove one of them")
    depth, dropout = len(critic.widths_at(size_px)), critic.dropout or ()
    if len(set(dropout)) > 1 and len(dropout) > depth:
        raise UsageError(
            f"{key}.dropout has {len(dropout)} values, and {key}.base_width = {critic.base_width} makes {depth} convolutions of {size_px} px; "
            "give at most as many, or one number for all"
        )
