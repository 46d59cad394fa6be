"""Which artifact is each layer of a composition: the one that was named, else the newest of the runs, else the shipped one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mitlgan.artifacts.card import LAYER_ROLES, read_card
from mitlgan.errors import ArtifactError, MitlganError
from mitlgan.recipe import Recipe, shipped_folder
from mitlgan.training import run_directory


def resolve_layers(given: Mapping[str, Path], root: Path, recipe: Recipe) -> dict[str, Path]:
    """The artifact of each layer of a composition: those given; where these are `fg` and `bg` alone, one that is absent as `layer_artifact` finds it.

    Raises:
        ArtifactError: There is none for a layer that was not given.
    """
    if not set(given) <= set(LAYER_ROLES):
        return dict(given)
    matted = recipe.composer is not None and recipe.composer.fusion.kind == "alpha"
    return {name: given.get(name) or default_layer(root, name, recipe.size_px, with_alpha=matted) for name in LAYER_ROLES}


def default_layer(root: Path, role: str, size_px: int, *, with_alpha: bool = False) -> Path:
    """The generator that a composition takes when none is named: the newest of the runs, else the shipped one.

    Args:
        root: Where runs are.
        role: `fg` or `bg`.
        size_px: Of its images.
        with_alpha: Whether the composition wants foregrounds that bring their own matte, and what is recommended to go with them.

    Raises:
        ArtifactError: There is neither.
    """
    path = newest_run_artifact(root, role, size_px, with_alpha=with_alpha) or shipped_layer(role, size_px, with_alpha=with_alpha)
    if path is None:
        raise ArtifactError(f"--{role}: no generator of {size_px} px under {root} or shipped; run `mitlgan pretrain {role}` first, or name an artifact")
    return path


def newest_run_artifact(root: Path, role: str, size_px: int, *, with_alpha: bool = False) -> Path | None:
    """The newest generator of a role and size among the runs under a root; of foregrounds, where they must be `matted`, one of four channels."""
    for run in reversed(run_directory.list_runs(root, "pretrain")):
        if run.artifact_file is None:
            continue
        try:
            card = read_card(run.artifact_file)
        except MitlganError:
            continue
        if card.role == role and card.size_px == size_px and (not with_alpha or role != "fg" or card.image_channels == 4):
            return run.artifact_file
    return None


def shipped_layer(role: str, size_px: int, *, with_alpha: bool = False) -> Path | None:
    """The generator of a role and size that ships with the package: of the thesis' family, or the recommended ones, whose foregrounds are `matted`."""
    path = shipped_folder("pretrained") / f"{'modern-' if with_alpha else ''}{role}-{size_px}" / "generator.safetensors"
    return path if path.is_file() else None
