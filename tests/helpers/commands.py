"""What the tests of the commands share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on stdout."""
        assert len(self.out.splitlines()) == 1, self.out
        return json.loads(self.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


Command = Callable[..., Outcome]


def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    """Begins `python -m mitlgan ARGUMENTS` as a process."""
    return subprocess.Popen(
        [sys.executable, "-m", "mitlgan", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )  # fmt: skip
