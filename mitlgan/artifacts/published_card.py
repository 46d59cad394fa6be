"""A card for others: without the folders of the machine that it was made on."""

from __future__ import annotations

import json
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from mitlgan.artifacts.card import Card
from mitlgan.recipe import as_dict


def published_card(card: Card) -> Card:
    """Return a card whose absolute paths, such as those of its pictures and of its layers' pictures, are only their last names."""
    return Card.model_validate_json(json.dumps(_without_folders(as_dict(card))))


def without_folder(text: str) -> str:
    """Return the last name of an absolute path, also of Windows or of a home (`~`); any other text as it is."""
    if "\n" in text:
        return text
    if PurePosixPath(text).is_absolute() or text.startswith("~"):
        return PurePosixPath(text).name
    return PureWindowsPath(text).name if PureWindowsPath(text).drive else text


def _without_folders(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_folders(item) for item in value]
    return without_folder(value) if isinstance(value, str) else value
