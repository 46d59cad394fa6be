"""Names that commands are about to write under."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mitlgan.cli.output_files import new_file, new_folder
from mitlgan.errors import ResourceError
from mitlgan.runtime.claimed_names import claim_name, release_names


@pytest.fixture(autouse=True)
def _released() -> Iterator[None]:
    yield
    release_names()


HOLD = """
import sys
from pathlib import Path
from mitlgan.runtime.claimed_names import claim_name, release_names
print(claim_name(Path("samples")), flush=True)
sys.stdin.readline()
release_names()
"""


@pytest.mark.parametrize("killed", [True, False])
def test_a_claimed_name_is_passed_over_until_its_process_ends(killed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    other = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "True\n"
    assert not claim_name(Path("samples"))
    assert new_folder(None, "samples", ["-grid.png"]) == Path("samples-2")
    assert new_folder(Path("samples"), "samples") == Path("samples")  # what the user names is the user's to decide
    if killed:
        other.kill()
    other.communicate("\n")
    release_names()
    assert new_folder(None, "samples", ["-grid.png"]) == Path("samples")


def test_names_of_one_process_are_claimed_once_and_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [new_file(None, "grid.png") for _ in range(2)] == [Path("grid.png")] * 2
    assert claim_name(Path("n" * 255))
    release_names()
    assert not list(tmp_path.iterdir())
    monkeypatch.chdir("/proc")
    with pytest.raises(ResourceError, match=r"grid\.png: cannot be written"):
        new_file(None, "grid.png")
