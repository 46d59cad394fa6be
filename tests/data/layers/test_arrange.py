"""What the user chose of cut pictures: kept for the next call, and refused where it cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mitlgan.data.layers.arrange import CHOICES_FILE, ManualChoices
from mitlgan.errors import DataError

CHOICES = ManualChoices(frozenset({"a.png", "bg/\N{GREEK SMALL LETTER ALPHA}.png"}), frozenset({"c.png"}))


def test_choices_are_read_as_they_were_written_and_none_are_empty(tmp_path: Path) -> None:
    assert ManualChoices.read(tmp_path) == ManualChoices()
    CHOICES.write(tmp_path)
    assert ManualChoices.read(tmp_path) == CHOICES


@pytest.mark.parametrize("content", [
    b"", b"\xff\xfe", b"null", b"[]", b"{}", b'{"exclude": []}', b'{"exclude": "a.png", "keep": []}', b'{"exclude": [1], "keep": []}',
    b"[" * 100_000, "half",
])  # fmt: skip
def test_choices_that_cannot_be_read_are_refused_and_stay(content: bytes | str, tmp_path: Path) -> None:
    CHOICES.write(tmp_path)
    file = tmp_path / CHOICES_FILE
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2] if isinstance(content, str) else content)
    before = file.read_bytes()
    with pytest.raises(DataError) as refused:
        ManualChoices.read(tmp_path)
    assert str(refused.value) == (
        f"{file}: what was chosen by --exclude and --keep cannot be read; remove the file, and give every --exclude and --keep again"
    )
    assert refused.value.exit_code == 3
    assert file.read_bytes() == before


def test_a_folder_in_their_place_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / CHOICES_FILE).mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        ManualChoices.read(tmp_path)


def test_choices_of_earlier_versions_are_read(tmp_path: Path) -> None:
    (tmp_path / CHOICES_FILE).write_text(json.dumps({"exclude": ["a.png"], "keep": [], "later": 1}))
    assert ManualChoices.read(tmp_path) == ManualChoices(frozenset({"a.png"}))
