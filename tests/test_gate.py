"""The gates: the exit status of .ci/run is that of what it ran; .ci/lowest takes every lowest version."""

import runpy
import subprocess
import time
import tomllib
from pathlib import Path

import pytest

GATE = Path(__file__).parents[1] / ".ci" / "run"

WRITES = 'for _ in {1..10000}; do mkdir -p "$scratch/a/$RANDOM"; touch "$scratch/a/$RANDOM"; done 2>/dev/null'  # its folder goes from under it


def ended(body: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The gate's own way out, from `leave` to its trap, after a body in place of the steps."""
    text = GATE.read_text()
    way_out = text[text.index("leave() {") : text.index("trap leave EXIT")] + "trap leave EXIT"
    script = f"set -euo pipefail\nexport scratch={folder / 'scratch'}\nmkdir $scratch\n{way_out}\n{body}\n"
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("true", 0),
        ("true & wait $!", 0),
        ("false & wait $! || exit 3", 3),
        ("false", 1),
        ("exit 4", 4),
        ("sleep 60 & true", 0),
        ("sleep 60 & exit 5", 5),
        (f"set -m; (bash -c '{WRITES}'; true) & set +m; sleep 0.2; exit 5", 5),
        (f"set -m; (bash -c '{WRITES}'; true) & set +m; sleep 0.2; false", 1),
    ],
)
def test_status_is_that_of_the_steps(body: str, status: int, tmp_path: Path) -> None:
    result = ended(body, tmp_path)
    assert result.returncode == status
    assert result.stderr == ""
    time.sleep(0.1)  # a job that goes on would make it again
    assert not (tmp_path / "scratch").exists()


def lowest(project: dict[str, object]) -> list[str]:
    versions: list[str] = runpy.run_path(str(GATE.with_name("lowest_versions.py")))["lowest_versions"](project)
    return versions


def test_lowest_versions() -> None:
    project = {
        "dependencies": ["torch>=2.9", "weights==0.1.0"],
        "optional-dependencies": {"dev": ["opencv-python-headless>=4.10.0.84,<5"], "psd": ["x"]},
    }
    assert lowest(project) == ["torch==2.9", "weights==0.1.0", "opencv-python-headless==4.10.0.84"]
    with pytest.raises(ValueError, match="no lowest version: rich"):
        lowest({"dependencies": ["rich"], "optional-dependencies": {"dev": []}})


def test_every_requirement_has_a_lowest_version() -> None:
    project = tomllib.loads((GATE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert len(lowest(project)) == len(project["dependencies"]) + len(project["optional-dependencies"]["dev"])
    for extra, requirements in project["optional-dependencies"].items():
        assert extra == "notebook" or set(requirements) <= set(project["optional-dependencies"]["dev"]), extra
