"""A card for others: without the folders of the machine that it was made on, and with a licence if it gets one."""

from __future__ import annotations

import json
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from mitlgan.artifacts.card import Card
from mitlgan.errors import UsageError
from mitlgan.recipe import as_dict
from mitlgan.recipe.schema.recipe import MAX_LICENCE_LENGTH


def published_card(card: Card) -> Card:
    """Return a card whose absolute paths, such as those of its pictures and of its layers' pictures, are only their last names."""
    return Card.model_validate_json(json.dumps(_without_folders(as_dict(card))))


def with_licence(card: Card, licence: str) -> Card:
    """Return the card of an artifact that has no licence yet with one.

    Raises:
        UsageError: It has another one, which only a training of one's own can give, or the name is empty or too long.
    """
    if not 0 < len(licence) <= MAX_LICENCE_LENGTH:
        raise UsageError(f"--licence: {len(licence)} characters; give its name in at most {MAX_LICENCE_LENGTH}, such as CC-BY-4.0")
    if card.licence not in ("", licence):
        raise UsageError(f"--licence {licence}: the artifact has a licence already, {card.licence}; leave this option out")
    return card.model_copy(update={"licence": licence})


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
