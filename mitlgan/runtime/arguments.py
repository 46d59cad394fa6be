"""Arguments of the functions of `import mitlgan`: their types and ranges, their old names, and messages that name them.

Ranges are checked where functions and commands meet, in messages that name a command's option. `takes_arguments` checks the types of all arguments of a
function and replaces options in its messages by the names of its arguments.
"""

from __future__ import annotations

import functools
import inspect
import math
import operator
import os
import re
import typing
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Decimal
from numbers import Real
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

from mitlgan.errors import MitlganError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")
REAL_NUMBERS = (Real, Decimal)
"""Types of real numbers; those of decimal stand apart from the others."""
MAX_SHOWN_CHARS = 60
MAX_LIGHT = 1 + 1 / 255
"""Largest magnitude of a value that 8 bits round to black or white as they do -1 and 1: rounding errors of floats lie below."""
TYPE_WORDS: dict[Any, str] = {bool: "True or False", int: "a whole number", float: "a number", str: "a text", Path: "a path", NoneType: "None"}
"""Types for readers; others are called by their names."""


def require_whole(name: str, value: int, low: int, high: int | None = None) -> None:
    """Check the range of a whole number.

    Raises:
        UsageError: It is below `low` or above `high`; the message begins with the name.
    """
    if value < low or (high is not None and value > high):
        raise UsageError(f"{name}: {describe_value(value)} is not a whole number {f'of at least {low}' if high is None else f'from {low} to {high}'}")


def require_number(name: str, value: float, low: float, high: float) -> None:
    """Check the range of a number.

    Raises:
        UsageError: It is below `low`, above `high`, or not a number; the message begins with the name.
    """
    if not low <= value <= high:
        raise UsageError(f"{name}: {value:g} is not from {low:g} to {high:g}")


def require_choice(name: str, value: str, choices: Collection[str]) -> None:
    """Check that a text is one of several.

    Raises:
        UsageError: It is not; the message begins with the name.
    """
    if value not in choices:
        raise UsageError(f"{name}: there is no {value!r}; choose from {', '.join(choices)}")


def require_images(name: str, images: Tensor, *, takes_bytes: bool = False) -> None:
    """Check that a tensor holds images: floats in [-1, 1], or with `takes_bytes` also uint8. Floats in [0, 1] cannot be told from dim images.

    Raises:
        UsageError: It is not (N, C, H, W) with C = 1, 3 or 4, holds nothing, numbers of another type, or values that are not finite or not in [-1, 1];
            the message begins with the name.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3, 4) or not images.numel():
        raise UsageError(f"{name}: have the shape {tuple(images.shape)}; give at least one image, (N, C, H, W) with C = 1, 3 or 4")
    advice = "floats in [-1, 1]" + (", or uint8 from 0 to 255" if takes_bytes else "")
    kind = str(images.dtype).removeprefix("torch.")
    if takes_bytes and kind == "uint8":
        return
    if not images.is_floating_point():
        raise UsageError(f"{name}: are of the type {kind}; give {advice}")
    low, high = (float(value) for value in images.detach().float().aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UsageError(f"{name}: hold values that are not finite; give {advice}")
    if max(-low, high) > MAX_LIGHT:
        raise UsageError(f"{name}: hold values from {low:g} to {high:g}; give {advice}")


def require_real(name: str, values: Tensor) -> None:
    """Check that a tensor holds numbers, not truth values or complex ones.

    Raises:
        UsageError: It does not; the message begins with the name.
    """
    kind = str(values.dtype).removeprefix("torch.")
    if kind == "bool" or values.is_complex():
        raise UsageError(f"{name}: are of the type {kind}; give floats")


def finite_floats(name: str, values: Tensor) -> Tensor:
    """Return a tensor of numbers as float32.

    Raises:
        UsageError: It holds truth values, complex numbers, or values that are not finite; the message begins with the name.
    """
    require_real(name, values)
    values = values.float()
    if not bool(values.isfinite().all()):
        raise UsageError(f"{name}: hold values that are not finite; give numbers")
    return values


def to_plain(value: Any) -> Any:
    """Return a number, truth value or text of numpy or torch, or an array or tensor of no dimension, as Python's; all else as it is."""
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value


def describe_value(value: object) -> str:
    """Return a value for a message: numbers, texts and short collections as Python writes them, all else by its type."""
    value = to_plain(value)
    is_plain = isinstance(value, bool | int | float | str | Path | list | tuple | dict | NoneType)
    is_plain = is_plain and not (isinstance(value, int) and abs(value) > 10**40)  # Python refuses to write longer ones
    text = (str(value) if isinstance(value, Path) else repr(value)) if is_plain else type(value).__name__
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}..."


def takes_arguments(
    *, options: Mapping[str, str] | None = None, old_names: Mapping[str, str] | None = None, is_training: bool = False
) -> Callable[[Callable[P, R]], Callable[P, R]]:  # fmt: skip
    """Return a decorator of a function of `import mitlgan`.

    Arguments whose type is not that of the annotation are refused with a `UsageError` before anything is done. Errors name arguments where they named
    options: `--fps` becomes `fps`, except inside backticks, where commands are. Torch's modes of the caller do not reach into the function; see
    `mitlgan.runtime.torch_modes`.

    Args:
        options: Option or first word of messages -> argument, where they are not one word.
        old_names: Old name of an argument -> its name. It still works, with a `DeprecationWarning`, until the next release.
        is_training: Whether the function also needs torch's defaults that all threads share, and draws random numbers that they share.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        words = {f"--{name.replace('_', '-')}": name for name in signature.parameters} | dict(options or {})
        types = functools.cache(lambda: typing.get_type_hints(function))  # at the first call: annotations may name what is imported late

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            from mitlgan.runtime.torch_modes import call_with_shared_defaults, torch_defaults  # slow to import

            bound = signature.bind(*args, **_with_current_names(kwargs, old_names or {}))
            for name, value in bound.arguments.items():
                bound.arguments[name] = as_annotated(name, value, types().get(name, Any))  # `self` has none
            try:
                with torch_defaults():
                    run = functools.partial(function, *bound.args, **bound.kwargs)
                    return call_with_shared_defaults(run) if is_training else run()
            except MitlganError as error:
                error.args = (_name_arguments(str(error), words),)
                raise

        return call

    return decorate


def _with_current_names(arguments: Mapping[str, Any], old_names: Mapping[str, str]) -> dict[str, Any]:
    current = dict(arguments)
    for name in set(current) & set(old_names):
        new = old_names[name]
        if new in current:
            raise UsageError(f"{name}: is now called {new}; give it once")
        warnings.warn(f"{name}: is now called {new}; the old name goes with the next release", DeprecationWarning, stacklevel=3)
        current[new] = current.pop(name)
    return current


def _name_arguments(message: str, words: Mapping[str, str]) -> str:
    """Return a message with arguments in place of options; commands, which stand between backticks, stay."""
    options = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True) if word.startswith("-"))
    parts = message.split("`")
    for index in range(0, len(parts), 2):
        parts[index] = re.sub(rf"(?<![\w/-])({options})(?![\w-])", lambda match: words[match[1]], parts[index])
    first = re.match(r"[A-Z]+(?=[ :])", parts[0])
    if first and first[0] in words:
        parts[0] = words[first[0]] + parts[0][first.end() :]
    return "`".join(parts)


class _OtherTypeError(Exception):
    """A value is of another type than asked for, or an element of it is.

    Attributes:
        place: Where that element is in the value, such as `, fg` or `[0]`; empty for the value itself.
        reason: What is wrong; empty if only the type says so.
    """

    def __init__(self, reason: str = "", place: str = "") -> None:
        super().__init__(place, reason)
        self.place, self.reason = place, reason


def as_annotated(name: str, value: Any, hint: Any) -> Any:
    """Return an argument as its annotation says, such as an int for numpy's.

    Raises:
        UsageError: It or an element of it is of another type, or an empty text; the message names the element.
    """
    try:
        return _placed(value, hint, name)
    except _OtherTypeError as error:
        raise UsageError(f"{error.place}: {error.reason}") from None


def _placed(value: Any, hint: Any, place: str) -> Any:
    """Return a converted value; an error says where it is."""
    try:
        return _converted(value, hint)
    except _OtherTypeError as error:
        raise _OtherTypeError(error.reason or f"{describe_value(value)} is not {_in_words(hint)}", place + error.place) from None


def _converted(value: Any, hint: Any) -> Any:
    value, origin, parts = to_plain(value), get_origin(hint), get_args(hint)
    if hint is Any or hint is object or origin is tuple:
        return value
    if isinstance(value, str) and not value:  # as a path, it would name the current folder
        raise _OtherTypeError("is empty; give a value, or leave it out")
    if origin in (Union, UnionType):
        return _converted_to_one(value, parts)
    if origin is Literal:
        if isinstance(value, str) and value in parts:
            return value
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        if isinstance(value, Mapping):
            return {
                _placed(key, parts[0], f", key {describe_value(key)}"): _placed(item, parts[1], f", {str(key)[:MAX_SHOWN_CHARS]}")
                for key, item in value.items()
            }
    elif isinstance(origin, type) and issubclass(origin, Iterable):
        if _is_series(value, parts[0]):
            return tuple(_placed(item, parts[0], f"[{index}]") for index, item in enumerate(value))
    elif hint in SCALARS:
        return SCALARS[hint](value)
    elif isinstance(value, hint):
        return value
    raise _OtherTypeError


def _is_series(value: Any, hint: Any) -> bool:
    """Return whether a value is a list of elements; arrays of several dimensions are only where their rows, which are arrays, can be elements."""
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
        return False
    choices = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    rows_are_elements = any(get_origin(one) is None and one is not Any and isinstance(value, one) for one in choices)
    return getattr(value, "ndim", 1) == 1 or rows_are_elements


def _converted_to_one(value: Any, choices: Collection[Any]) -> Any:
    explained = _OtherTypeError()
    for hint in sorted(choices, key=lambda one: one in (int, float)):  # last, since a tensor of one number is an int, too
        try:
            return _converted(value, hint)
        except _OtherTypeError as error:
            explained = explained if explained.reason else error
    raise explained


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _OtherTypeError
    return value


def _int(value: Any) -> int:
    try:
        if isinstance(value, bool):
            raise _OtherTypeError
        return operator.index(value)  # also of torch's tensors of one number; 1.5 is refused, not cut to 1
    except TypeError:
        raise _OtherTypeError from None


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, REAL_NUMBERS):
        raise _OtherTypeError
    try:
        number = float(value)
    except OverflowError:
        raise _OtherTypeError("is too large a number") from None
    except ValueError:  # a signalling NaN of decimal
        raise _OtherTypeError from None
    if not math.isfinite(number):
        raise _OtherTypeError
    return int(value) if isinstance(value, int) else number


def _path(value: Any) -> Path:
    if not isinstance(value, os.PathLike):
        raise _OtherTypeError
    text = os.fspath(value)
    if not isinstance(text, str):
        raise _OtherTypeError
    return value if isinstance(value, Path) else Path(_converted(text, str))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _OtherTypeError
    return str(value)


def _none(value: Any) -> None:
    if value is not None:
        raise _OtherTypeError


SCALARS: dict[Any, Callable[[Any], Any]] = {bool: _bool, int: _int, float: _float, str: _text, Path: _path, NoneType: _none}


def _in_words(hint: Any) -> str:
    """Return a type for readers, such as "a whole number or None"."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        *most, last = dict.fromkeys(_in_words(part) for part in parts)
        return f"{', '.join(most)} or {last}" if most else last
    if origin is Literal:
        return f"one of {', '.join(parts)}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "a dict"
    if isinstance(origin, type) and issubclass(origin, Iterable):
        return "a list of texts" if parts[0] is str else "a list"
    return TYPE_WORDS.get(hint) or f"a {hint.__name__}"
