"""Names that are imported when they are first asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from helpers import images

import mitlgan


def test_every_public_name_is_found() -> None:
    for name in mitlgan.__all__:
        value = getattr(mitlgan, name)
        assert vars(mitlgan)[name] is value  # and kept: the second time is a plain look-up
    with pytest.raises(AttributeError, match=r"^module 'mitlgan' has no attribute 'nonsense'$"):
        mitlgan.nonsense  # type: ignore[attr-defined]  # noqa: B018


def test_a_name_comes_from_its_home_and_brings_nothing_else() -> None:
    program = (
        "import sys, mitlgan; before = 'torch' in sys.modules; load = mitlgan.load;"
        "from mitlgan.api import artifacts; print(before, load is artifacts.load, 'matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "False"]


def test_packing_pictures_waits_for_no_torch(tmp_path: Path) -> None:
    place = images.fill(tmp_path / "in", 4)
    program = "import sys; from mitlgan.cli import main\ntry:\n    main()\nexcept SystemExit as end:\n    print('torch' in sys.modules, end.code)"
    for command in (["prepare", "--size", "8"], ["pack", "--size", "8"]):
        out = tmp_path / ("a.npy" if command[0] == "pack" else "out")
        arguments = ["data", command[0], str(place), "--out", str(out), *command[1:]]
        done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
        assert "False" in done.stdout.splitlines()[-1], command
