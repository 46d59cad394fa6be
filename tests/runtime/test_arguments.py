"""Arguments of Python functions: types by annotation, ranges, and messages that name arguments in place of options."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from mitlgan.errors import DataError, ShortageError, UsageError
from mitlgan.runtime.arguments import (
    describe_value,
    require_choice,
    require_images,
    require_number,
    require_real,
    require_whole,
    takes_arguments,
)


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
    for number in (np.array(0.5), torch.tensor(0.5), torch.tensor(0.5, requires_grad=True), Fraction(1, 2), Decimal("0.5"), np.longdouble(0.5)):
        share = echo(share=number)["share"]  # type: ignore[arg-type]
        assert (share, type(share)) == (0.5, float)
    for flag in (np.array(True), torch.tensor(True)):
        assert echo(is_on=flag)["is_on"] is True  # type: ignore[arg-type]
    assert (echo.__name__, echo.__doc__) == ("echo", "Return the arguments, or raise the error.")


@pytest.mark.parametrize(("arguments", "message"), [
    ({"path": 3}, "path: 3 is not a text or a path"), ({"path": ""}, "path: is empty; give a value, or leave it out"),
    ({"count": True}, "count: True is not a whole number or None"), ({"count": 1.0}, "count: 1.0 is not a whole number or None"),
    ({"share": float("nan")}, "share: nan is not a number"), ({"extractors": "ab"}, "extractors: 'ab' is not a list of texts"),
    ({"extractors": [1]}, "extractors[0]: 1 is not a text"), ({"kind": "c"}, "kind: 'c' is not one of a, b"),
    ({"is_on": 1}, "is_on: 1 is not True or False"), ({"table": ["a"]}, "table: ['a'] is not a dict or None"),
    ({"table": {"a": "b"}}, "table, a: 'b' is not a whole number"), ({"table": {1: 2}}, "table, key 1: 1 is not a text"),
    ({"table": {"": 2}}, "table, key '': is empty; give a value, or leave it out"),
    ({"extractors": ["a", ""]}, "extractors[1]: is empty; give a value, or leave it out"),
    ({"extractors": {"a": 1}}, "extractors: {'a': 1} is not a list of texts"), ({"share": 10**400}, "share: is too large a number"),
    ({"share": -Fraction(10**400)}, "share: is too large a number"), ({"share": torch.tensor(True)}, "share: True is not a number"),
    ({"count": np.array(1.5)}, "count: 1.5 is not a whole number or None"), ({"count": Fraction(2)}, "count: Fraction is not a whole number or None"),
    ({"path": b"a"}, "path: bytes is not a text or a path"), ({"kind": ""}, "kind: is empty; give a value, or leave it out"),
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


@takes_arguments()
def take(points: Sequence[int | Mapping[str, int] | str | torch.Tensor]) -> Any:
    """Return the points."""
    return points


@pytest.mark.parametrize("points", [
    [1, 2], (1, 2), range(1, 3), np.array([1, 2]), torch.tensor([1, 2]), (number for number in (1, 2)), {1: 0, 2: 0}.keys(), map(int, "12"),
    [np.int8(1), torch.tensor(2)], [np.array(1), np.array(2)],
])  # fmt: skip
def test_lists_of_many_forms_arrive_as_tuples(points: Any) -> None:
    found = take(points)
    assert (found, [type(point) for point in found]) == ((1, 2), [int, int])


def test_rows_of_a_tensor_are_elements_where_tensors_are() -> None:
    z = torch.arange(6.0).reshape(2, 3)
    assert [row.tolist() for row in take(z)] == [[0, 1, 2], [3, 4, 5]]  # type: ignore[arg-type]
    for values, message in (
        (z.numpy(), "points: ndarray is not a list"), (z[0], r"points\[0\]: 0.0 is not a whole number, a dict, a text or a Tensor"),
        ([z, [1]], r"points\[1\]: \[1\] is not"), ([{"a": 1}, {"a": 1.5}], r"points\[1\], a: 1.5 is not a whole number$"),
        ([1, ""], r"points\[1\]: is empty; give a value, or leave it out$"), (torch.tensor(3), "points: 3 is not a list"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=f"^{message}"):
            take(values)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"^extractors: ndarray is not a list of texts$"):
        echo(extractors=np.array([["a"]]))  # type: ignore[arg-type]


IMAGES = torch.tensor([[[[-1.0, 0, 1.0]]]])


@pytest.mark.parametrize("images", [
    IMAGES, IMAGES.double(), IMAGES.half(), IMAGES.bfloat16(), IMAGES.expand(2, 3, 1, 3), IMAGES.expand(1, 4, 1, 3), IMAGES * (1 + 1e-3),
    IMAGES.clone().requires_grad_(), (IMAGES + 1) / 2,
])  # fmt: skip
def test_images_are_floats_from_minus_one_to_one(images: torch.Tensor) -> None:
    require_images("images", images)
    require_images("images", images, takes_bytes=True)


@pytest.mark.parametrize(("images", "message"), [
    (IMAGES[0], "have the shape (1, 1, 3); give at least one image, (N, C, H, W) with C = 1, 3 or 4"),
    (IMAGES.expand(1, 2, 1, 3), "have the shape (1, 2, 1, 3); give at least one image, (N, C, H, W) with C = 1, 3 or 4"),
    (IMAGES[:0], "have the shape (0, 1, 1, 3); give at least one image, (N, C, H, W) with C = 1, 3 or 4"),
    (IMAGES > 0, "are of the type bool; give floats in [-1, 1]"), (IMAGES.long(), "are of the type int64; give floats in [-1, 1]"),
    (IMAGES.to(torch.int8), "are of the type int8; give floats in [-1, 1]"), (IMAGES + 0j, "are of the type complex64; give floats in [-1, 1]"),
    (IMAGES / 0, "hold values that are not finite; give floats in [-1, 1]"),
    (IMAGES.double() * 1e300, "hold values that are not finite; give floats in [-1, 1]"),
    ((IMAGES + 1) * 127.5, "hold values from 0 to 255; give floats in [-1, 1]"),
    (IMAGES * 1.05, "hold values from -1.05 to 1.05; give floats in [-1, 1]"),
    (IMAGES - 0.5, "hold values from -1.5 to 0.5; give floats in [-1, 1]"),
])  # fmt: skip
def test_what_is_no_image_is_refused(images: torch.Tensor, message: str) -> None:
    for takes_bytes, end in ((False, ""), (True, ", or uint8 from 0 to 255")):
        with pytest.raises(UsageError) as refused:
            require_images("frames", images, takes_bytes=takes_bytes)
        assert str(refused.value) == f"frames: {message}{'' if message.endswith('4') else end}"


def test_bytes_are_images_where_they_are_taken() -> None:
    require_images("images", IMAGES.byte(), takes_bytes=True)
    with pytest.raises(UsageError, match=r"^images: are of the type uint8; give floats in \[-1, 1\]$"):
        require_images("images", IMAGES.byte())


def test_numbers_are_neither_truth_values_nor_complex() -> None:
    for values in (IMAGES, IMAGES.half(), IMAGES.long()):
        require_real("z", values)
    for values, kind in ((IMAGES > 0, "bool"), (IMAGES + 0j, "complex64")):
        with pytest.raises(UsageError, match=f"^z: are of the type {kind}; give floats$"):
            require_real("z", values)


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
