"""The gate, .ci/run: its exit status is that of what it ran, whether or not something still runs beside it."""

import subprocess
from pathlib import Path

import pytest

GATE = Path(__file__).parents[1] / ".ci" / "run"


def ended(body: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The gate's own way out, from `leave` to its trap, after a body in place of the steps."""
    text = GATE.read_text()
    way_out = text[text.index("leave() {") : text.index("trap leave EXIT")] + "trap leave EXIT"
    script = f"set -euo pipefail\nscratch={folder / 'scratch'}\nmkdir $scratch\n{way_out}\n{body}\n"
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
    ],
)
def test_status_is_that_of_the_steps(body: str, status: int, tmp_path: Path) -> None:
    result = ended(body, tmp_path)
    assert result.returncode == status
    assert result.stderr == ""
    assert not (tmp_path / "scratch").exists()
