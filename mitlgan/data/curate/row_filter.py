"""Conditions on table rows, such as `rating >= 4.0 and reviews >= 12`, evaluated by simpleeval."""

from __future__ import annotations

import ast
import difflib
import operator
from collections.abc import Callable, Collection, Mapping
from typing import Any

from simpleeval import EvalWithCompoundTypes

from mitlgan.errors import UsageError

MAX_LENGTH = 2000


def _number(value: Any) -> float | None:
    if isinstance(value, (int, float)):
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _make_comparison(operation: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """Return a comparison that is false for absent or incomparable values; text is compared with numbers as one."""

    def compare(left: Any, right: Any) -> bool:
        among = isinstance(right, list | tuple)
        if isinstance(left, int | float) != isinstance(right, int | float) and not among:
            left, right = _number(left), _number(right)
        if (left is None or right is None) and operation not in (operator.eq, operator.ne):
            return False
        if among and isinstance(left, int | float):
            right = [*right, *map(_number, right)]
        try:
            return bool(operation(left, right))
        except TypeError:
            return False

    return compare


def _make_operation(operation: Callable[..., float]) -> Callable[..., float | None]:
    """Return an arithmetic operation on numbers, or text that is one; None for anything else, or without a result."""

    def compute(*values: Any) -> float | None:
        numbers = [_number(value) for value in values]
        try:
            return None if None in numbers else operation(*numbers)
        except (ZeroDivisionError, OverflowError):
            return None

    return compute


_COMPARISONS: dict[type[ast.AST], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq, ast.NotEq: operator.ne,
    ast.In: lambda value, among: value in among, ast.NotIn: lambda value, among: value not in among,
}  # fmt: skip
_ARITHMETIC: dict[type[ast.AST], Callable[..., float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv, ast.USub: operator.neg, ast.UAdd: operator.pos,
}  # fmt: skip
_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Not: operator.not_,
    **{kind: _make_comparison(operation) for kind, operation in _COMPARISONS.items()},
    **{kind: _make_operation(operation) for kind, operation in _ARITHMETIC.items()},
}
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "lower": lambda value: str(value).lower(),
    "length": lambda value: len(str(value)),
    "number": _number,
    "text": str,
}
_PARTS = (ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Compare, ast.BinOp, ast.Name, ast.Load, ast.Constant, ast.Tuple, ast.List, ast.Call,
          *_OPERATORS)  # fmt: skip


class Condition:
    """A condition on a row.

    Names are columns. Allowed are `and`, `or`, `not`, comparisons, `in`, `+ - * /`, numbers, quoted text, lists, and the functions lower, length,
    number and text. A comparison with an absent or incomparable value is false; text is converted to a number if it is compared with one.

    Args:
        text: The condition.
        columns: The allowed names; None for any.
        option: How an error names it.

    Raises:
        UsageError: The text is no such condition, or names an unknown column.
    """

    def __init__(self, text: str, columns: Collection[str] | None = None, option: str = "--where") -> None:
        self._label = f"{option} {text[:200]!r}"
        if len(text) > MAX_LENGTH:
            raise UsageError(f"{self._label}: longer than {MAX_LENGTH} characters; write a shorter condition")
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            reason = error.msg if isinstance(error, SyntaxError) else type(error).__name__
            raise UsageError(f'{self._label}: no condition ({reason}); write for instance "rating >= 4.0 and reviews >= 12"') from None
        for part in ast.walk(self._tree):
            self._check(part, columns)
        self._text, self._evaluator = text, EvalWithCompoundTypes(operators=_OPERATORS, functions=_FUNCTIONS)

    def _check(self, part: ast.AST, columns: Collection[str] | None) -> None:
        if not isinstance(part, _PARTS):
            raise UsageError(f"{self._label}: {type(part).__name__} is not allowed; use comparisons, and, or, not, in, + - * /")
        if isinstance(part, ast.Call) and (
            not isinstance(part.func, ast.Name) or part.func.id not in _FUNCTIONS or len(part.args) != 1 or part.keywords
        ):
            raise UsageError(f"{self._label}: only {', '.join(_FUNCTIONS)} can be called, with one value")
        if isinstance(part, ast.Constant) and not isinstance(part.value, (int, float, str, bool, type(None))):
            raise UsageError(f"{self._label}: {part.value!r} is neither a number nor text")
        if isinstance(part, ast.Name) and columns is not None and part.id not in columns and part.id not in _FUNCTIONS:
            close = difflib.get_close_matches(part.id, columns, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(columns)[:12])}"
            raise UsageError(f"{self._label}: no column {part.id}; {hint}")

    def __call__(self, row: Mapping[str, Any]) -> bool:
        """Whether the condition holds for a row."""
        self._evaluator.names = lambda node: row.get(node.id)
        try:
            return bool(self._evaluator.eval(self._text, previously_parsed=self._tree))
        except RecursionError:
            raise UsageError(f"{self._label}: too deeply nested") from None
