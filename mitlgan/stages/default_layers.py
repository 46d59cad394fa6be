"""Default artifacts for the layers of a composition: the newest run's, else the shipped one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mitlgan.artifacts.card import LAYER_ROLES, read_card
from mitlgan.errors import ArtifactError, MitlganError, UsageError
from mitlgan.recipe import Recipe, belonging_recipe, load_recipe, shipped_folder
from mitlgan.runtime.command_line import command_line, option_words
from mitlgan.stages.training_command import out_words
from mitlgan.training import run_directory


def resolve_layers(requested: Mapping[str, Path], root: Path, recipe: Recipe) -> dict[str, Path]:
    """Return the artifact of each layer of a composition; `fg` or `bg` gets its default if no other layers are requested.

    Args:
        requested: Artifacts by layer.
        root: Folder of the runs.
        recipe: Of the composition.

    Raises:
        ArtifactError: There is no default for a layer.
    """
    if not set(requested) <= set(LAYER_ROLES):
        return dict(requested)
    with_alpha = recipe.composer is not None and recipe.composer.fusion.kind == "alpha"
    layers = {}
    for name in LAYER_ROLES:
        path = requested.get(name) or default_layer(root, name, recipe.size_px, with_alpha=with_alpha)
        if path is None:
            kind = "generator with a matte" if with_alpha and name == "fg" else "generator"
            begin = _describe_pretraining(root, name, recipe)
            raise ArtifactError(f"--{name}: no {kind} of {recipe.size_px} px under {root} or shipped; {begin} first, or name an artifact")
        layers[name] = path
    return layers


def default_layer(root: Path, role: str, size_px: int, *, with_alpha: bool = False) -> Path | None:
    """Return the newest generator of a role and size among the runs, else the shipped one; None if there is none.

    Args:
        root: Folder of the runs.
        role: `fg` or `bg`.
        size_px: Size of its images.
        with_alpha: Whether a foreground must have a matte of its own, and a background is the one recommended with such foregrounds.
    """
    return newest_run_artifact(root, role, size_px, with_alpha=with_alpha) or shipped_layer(role, size_px, with_alpha=with_alpha)


def _describe_pretraining(root: Path, role: str, composition: Recipe) -> str:
    """Return what to do for a layer of a composition: the command, in backticks, by the shipped recipe of its role, kind and size, if there is one."""
    try:
        recipe, settings = belonging_recipe(role, composition)
        load_recipe(recipe, settings)  # its critic may not fit a small size
    except UsageError:
        return f"pretrain one of {composition.size_px} px"
    words = option_words([("--recipe", recipe), *(("--set", setting) for setting in settings)])
    return f"run `{command_line(['pretrain', role, *words, *out_words(root)])}`"


def newest_run_artifact(root: Path, role: str, size_px: int, *, with_alpha: bool = False) -> Path | None:
    """Return the newest generator of a role and size among the runs; a foreground with alpha must have four channels."""
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
    """Return the shipped generator of a role and size: of the recommended recipes if with alpha, else of the thesis' recipes."""
    path = shipped_folder("pretrained") / f"{'modern-' if with_alpha else ''}{role}-{size_px}" / "generator.safetensors"
    return path if path.is_file() else None
