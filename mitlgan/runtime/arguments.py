"""Arguments of the functions of `import mitlgan`: their types and ranges, their old names, and messages that name them.

Ranges are checked where functions and commands meet, in messages that name a command's option. `takes_arguments` checks the types of all arguments of a
function and replaces options in its messages by the names of its arguments.
"""

from __future__ import annotations

import functools
import inspect
import math
import operator
import re
import typing
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from numbers import Real
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

import numpy as np

from mitlgan.errors import MitlganError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")
MAX_SHOWN_CHARS = 60
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


def require_images(name: str, images: Tensor) -> None:
    """Check that a tensor holds images.

    Raises:
        UsageError: It is not (N, C, H, W) with C = 1, 3 or 4, holds nothing, or values that are not finite; the message begins with the name.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3, 4) or not images.numel():
        raise UsageError(f"{name}: have the shape {tuple(images.shape)}; give at least one image, (N, C, H, W) with C = 1, 3 or 4")
    if not bool(images.isfinite().all()):
        raise UsageError(f"{name}: hold values that are not finite; give numbers in [-1, 1]")


def describe_value(value: object) -> str:
    """Return a value for a message: numbers, texts and short collections as Python writes them, all else by its type."""
    is_plain = isinstance(value, bool | int | float | str | Path | list | tuple | dict | NoneType)
    is_plain = is_plain and not (isinstance(value, int) and abs(value) > 10**40)  # Python refuses to write longer ones
    text = (str(value) if isinstance(value, Path) else repr(value)) if is_plain else type(value).__name__
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}..."


def takes_arguments(
    *, options: Mapping[str, str] | None = None, old_names: Mapping[str, str] | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:  # fmt: skip
    """Return a decorator of a function of `import mitlgan`.

    Arguments whose type is not that of the annotation are refused with a `UsageError` before anything is done. Errors name arguments where they named
    options: `--fps` becomes `fps`, except inside backticks, where commands are.

    Args:
        options: Option or first word of messages -> argument, where they are not one word.
        old_names: Old name of an argument -> its name. It still works, with a `DeprecationWarning`, until the next release.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        words = {f"--{name.replace('_', '-')}": name for name in signature.parameters} | dict(options or {})
        types = functools.cache(lambda: typing.get_type_hints(function))  # at the first call: annotations may name what is imported late

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            bound = signature.bind(*args, **_with_current_names(kwargs, old_names or {}))
            for name, value in bound.arguments.items():
                bound.arguments[name] = _checked(name, value, types().get(name, Any))  # `self` has none
            try:
                return function(*bound.args, **bound.kwargs)
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
    """A value is of another type than asked for."""


def _checked(name: str, value: Any, hint: Any) -> Any:
    """Return an argument as its annotation says, such as an int for numpy's.

    Raises:
        UsageError: It is of another type.
    """
    if isinstance(value, str) and not value:  # as a path, it would name the current folder
        raise UsageError(f"{name}: is empty; give a value, or leave it out")
    try:
        return _converted(value, hint)
    except _OtherTypeError:
        raise UsageError(f"{name}: {describe_value(value)} is not {_in_words(hint)}") from None


def _converted(value: Any, hint: Any) -> Any:
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _converted_to_one(value, parts)
    if origin is Literal:
        if isinstance(value, str) and value in parts:
            return value
    elif hint is Any or hint is object or origin is tuple:
        return value
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        if isinstance(value, Mapping):
            return {_converted(key, parts[0]): _converted(item, parts[1]) for key, item in value.items()}
    elif isinstance(origin, type) and issubclass(origin, Iterable):
        if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping) and getattr(value, "ndim", 1) == 1:  # no image
            return tuple(_converted(item, parts[0]) for item in value)
    elif hint in SCALARS:
        return SCALARS[hint](value)
    elif isinstance(value, hint):
        return value
    raise _OtherTypeError


def _converted_to_one(value: Any, choices: Collection[Any]) -> Any:
    for hint in sorted(choices, key=lambda one: one in (int, float)):  # last, since a tensor of one number is an int, too
        try:
            return _converted(value, hint)
        except _OtherTypeError:
            continue
    raise _OtherTypeError


def _bool(value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise _OtherTypeError
    return bool(value)


def _int(value: Any) -> int:
    try:
        if isinstance(value, bool):
            raise _OtherTypeError
        return operator.index(value)  # also of numpy and torch; 1.5 is refused, not cut to 1
    except TypeError:
        raise _OtherTypeError from None


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise _OtherTypeError
    return int(value) if isinstance(value, int) else float(value)


def _path(value: Any) -> Path:
    if not isinstance(value, Path):
        raise _OtherTypeError
    return value


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
        return " or ".join(dict.fromkeys(_in_words(part) for part in parts))
    if origin is Literal:
        return f"one of {', '.join(parts)}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "a dict"
    if isinstance(origin, type) and issubclass(origin, Iterable):
        return "a list of texts" if parts[0] is str else "a list"
    return TYPE_WORDS.get(hint) or f"a {hint.__name__}"
