"""Recipes and artifacts that ship with the package, found without loading anything that reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def shipped_folder(folder: Literal["recipes", "pretrained"]) -> Path:
    """Return a shipped folder: inside the installed package, else at the root of the checkout.

    An editable install has none inside the package, so an edited recipe of the checkout takes effect.
    """
    package = Path(__file__).resolve().parent.parent
    inside = package / folder
    return inside if inside.is_dir() else package.parent / folder


def shipped_recipe_names() -> list[str]:
    """Return the names of the shipped recipes, such as `thesis-32/pretrain_fg`."""
    root = shipped_folder("recipes")
    return sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.toml"))
