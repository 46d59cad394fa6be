"""Names that are imported when they are first asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import mitlgan
from mitlgan import report


@pytest.mark.parametrize("package", [mitlgan, report])
def test_every_public_name_is_found(package: object) -> None:
    for name in package.__all__:  # type: ignore[attr-defined]
        found = getattr(package, name)
        assert vars(package)[name] is found  # and kept: the second time is a plain look-up
    with pytest.raises(AttributeError, match=r"^module 'mitlgan.*' has no attribute 'nonsense'$"):
        package.nonsense  # type: ignore[attr-defined]  # noqa: B018


def test_a_name_comes_from_its_home_and_brings_nothing_else() -> None:
    program = (
        "import sys, mitlgan.report as report; before = 'torch' in sys.modules; arm = report.ArmResult;"
        "from mitlgan.report.schema import ArmResult; print(before, arm is ArmResult, 'matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "False"]
