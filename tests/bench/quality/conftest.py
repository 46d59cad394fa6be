"""Pictures of 8 px and a recipe of one task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import tiny_runs
from PIL import Image

from mitlgan.bench.quality.tasks import QualityTask
from mitlgan.recipe import to_toml


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder as `data split` makes it."""
    for split, seed in (("train", 1), ("test", 2)):
        folder = tmp_path / "photos" / "bg" / split
        folder.mkdir(parents=True)
        for index, planes in enumerate(tiny_runs.pixels(12, seed)):
            Image.fromarray(np.ascontiguousarray(planes.transpose(1, 2, 0))).save(folder / f"{index}.png")
    return tmp_path / "photos"


@pytest.fixture
def task(tmp_path: Path) -> QualityTask:
    """Backgrounds of 8 px by a recipe of many tiny updates."""
    file = tmp_path / "tiny.toml"
    file.write_text(to_toml(tiny_runs.recipe("bg", Path("replaced"), updates=100_000)))
    return QualityTask("bg-8", "bg", tiny_runs.SIZE_PX, str(file))
