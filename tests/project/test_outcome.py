"""What a finished project says of its quality."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mitlgan.project.outcome import _quality


@pytest.mark.parametrize(
    ("metrics", "real", "text"),
    [
        ({"kid": 1.5, "kid_std": 0.25}, 1000, "KID 1.500 ± 0.250 against 1,000 held-out photographs (lower is better)"),
        ({"kid": 0.004, "kid_std": 0.001}, 1000, "KID 0.004 ± 0.001 against 1,000 held-out photographs (lower is better)"),
        ({"kid": 0.0004}, 1000, "KID 0.0004 against 1,000 held-out photographs (lower is better)"),
        ({"kid": 0.004, "kid_std": None}, 0, "KID 0.004 against the training's own photographs, which flatters: none were held out"),
    ],
)
def test_quality_is_not_rounded_to_perfection(metrics: dict[str, Any], real: int, text: str) -> None:
    result: Any = SimpleNamespace(metrics=metrics, real=real)
    assert _quality(result) == text


def test_a_distance_below_zero_is_explained() -> None:
    result: Any = SimpleNamespace(metrics={"kid": -0.003, "kid_std": 0.004}, real=1000)
    assert _quality(result).startswith("KID -0.003 ± 0.004 against")
    assert "a KID below 0 is as good as 0" in _quality(result)
