"""Pictures that the tests of data make for themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six different JPEG pictures of 40 x 30 px."""
    place = tmp_path / "pictures"
    place.mkdir()
    for index in range(6):
        images.smooth(index, (40, 30)).save(place / f"{index}.jpg", quality=95)
    return place
