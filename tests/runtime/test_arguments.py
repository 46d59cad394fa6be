"""Arguments of Python functions: types by annotation, ranges, and messages that name arguments in place of options."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from mitlgan.errors import DataError, ShortageError, UsageError
from mitlgan.runtime.arguments import describe_value, require_choice, require_number, require_whole, takes_arguments


@takes_arguments(options={"--extractor": "extractors", "-n": "count", "SRC": "path"}, old_names={"number": "count"})
def echo(
    path: str | Path = "a", *, count: int | None = None, share: float = 0.5, extractors: Collection[str] = (), kind: Literal["a", "b"] = "a",
    is_on: bool = False, table: Mapping[str, int] | None = None, error: Any = None,
) -> dict[str, Any]:  # fmt: skip
    """Return the arguments, or raise the error."""
    if error is not None:
        raise error
    return {"path": path, "count": count, "share": share, "extractors": extractors, "kind": kind, "is_on": is_on, "table": table}


def test_values_of_the_right_type_arrive_as_pythons() -> None:
    values = echo(Path("b"), count=np.int64(3), share=np.float32(0.5), extractors=iter(["x"]), is_on=np.bool_(True), table={"a": np.int8(1)})  # type: ignore[arg-type]
    assert values == {"path": Path("b"), "count": 3, "share": 0.5, "extractors": ("x",), "kind": "a", "is_on": True, "table": {"a": 1}}
    assert [type(values[name]) for name in ("count", "share", "is_on")] == [int, float, bool]
    assert (echo.__name__, echo.__doc__) == ("echo", "Return the arguments, or raise the error.")


@pytest.mark.parametrize(("arguments", "message"), [
    ({"path": 3}, "path: 3 is not a text or a path"), ({"path": ""}, "path: is empty; give a value, or leave it out"),
    ({"count": True}, "count: True is not a whole number or None"), ({"count": 1.0}, "count: 1.0 is not a whole number or None"),
    ({"share": float("nan")}, "share: nan is not a number"), ({"extractors": "ab"}, "extractors: 'ab' is not a list of texts"),
    ({"extractors": [1]}, "extractors: [1] is not a list of texts"), ({"kind": "c"}, "kind: 'c' is not one of a, b"),
    ({"is_on": 1}, "is_on: 1 is not True or False"), ({"table": {"a": "b"}}, "table: {'a': 'b'} is not a dict or None"),
])  # fmt: skip
def test_other_types_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as refused:
        echo(**arguments)
    assert str(refused.value) == message


@pytest.mark.parametrize(("message", "named"), [
    ("--count: 3 is too few; use --extractor b or --is-on", "count: 3 is too few; use extractors b or is_on"),
    ("-n 3: too few", "count 3: too few"), ("SRC x: no SRC/--count here", "path x: no SRC/--count here"),
    ("--counts: run `mitlgan sample --count 3`, or give --count", "--counts: run `mitlgan sample --count 3`, or give count"),
    ("--other 3: not an argument", "--other 3: not an argument"),
])  # fmt: skip
def test_messages_name_arguments(message: str, named: str) -> None:
    for error in (UsageError(message), DataError(message)):
        with pytest.raises(type(error)) as refused:
            echo(error=error)
        assert str(refused.value) == named
    with pytest.raises(ShortageError, match=r"^count: no memory; free some$"):
        echo(error=ShortageError("--count: no memory", "free some", is_memory=True))


def test_an_old_name_is_noted_where_it_is_used() -> None:
    with pytest.warns(DeprecationWarning, match="^number: is now called count; the old name goes with the next release$") as notes:
        assert echo(number=2)["count"] == 2  # type: ignore[call-arg]
    assert notes[0].filename == __file__
    with pytest.raises(UsageError, match=r"^number: is now called count; give it once$"):
        echo(number=2, count=2)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="nonsense"):
        echo(nonsense=1)  # type: ignore[call-arg]


def test_ranges() -> None:
    require_whole("--jobs", 1, 1, 2)
    require_number("--share", 1, 0, 1)
    require_choice("--by", "a", ("a", "b"))
    for call, message in (
        (lambda: require_whole("--jobs", 3, 1, 2), "--jobs: 3 is not a whole number from 1 to 2"),
        (lambda: require_whole("--jobs", 0, 1), "--jobs: 0 is not a whole number of at least 1"),
        (lambda: require_number("--share", float("nan"), 0, 1), "--share: nan is not from 0 to 1"),
        (lambda: require_choice("--by", "c", ("a", "b")), "--by: there is no 'c'; choose from a, b"),
    ):
        with pytest.raises(UsageError) as refused:
            call()
        assert str(refused.value) == message


def test_values_are_described_in_one_short_line() -> None:
    assert [describe_value(value) for value in (3, "a", None, Path("p"), np.zeros(3))] == ["3", "'a'", "None", "p", "ndarray"]
    assert len(describe_value(list(range(1000)))) < 70
    assert describe_value(10**5000) == "int"
