"""A small, safe language of conditions: `rating >= 4.0 and reviews >= 12`. Parsed by Python's own parser, evaluated here; nothing is executed."""

from __future__ import annotations

import ast
import difflib
import operator
from collections.abc import Callable, Collection, Mapping
from typing import Any

from mitlgan.errors import UsageError

LONGEST = 2000
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda value, among: value in among,
    ast.NotIn: lambda value, among: value not in among,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "lower": lambda value: str(value).lower(),
    "length": lambda value: len(str(value)),
    "number": lambda value: _number(value),
    "text": str,
}
_PARTS = (ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.UAdd, ast.Compare, ast.BinOp, ast.Name, ast.Load,
          ast.Constant, ast.Tuple, ast.List, ast.Call, *_COMPARE, *_ARITHMETIC)  # fmt: skip


class Condition:
    """A condition on a row.

    Names are columns. There are `and`, `or`, `not`, comparisons, `in`, `+ - * /`, numbers, quoted text, lists, and the functions lower, length, number
    and text. A comparison with a value that is absent, or not comparable, is false; text is taken as a number where it is compared with one.

    Args:
        text: The condition.
        columns: The names there are; None for any.
        option: How an error names it.

    Raises:
        UsageError: Not such a condition; an unknown column, with the closest one.
    """

    def __init__(self, text: str, columns: Collection[str] | None = None, option: str = "--where") -> None:
        self._said = f"{option} {text[:200]!r}"
        if len(text) > LONGEST:
            raise UsageError(f"{self._said}: longer than {LONGEST} characters; write a shorter condition")
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            reason = error.msg if isinstance(error, SyntaxError) else type(error).__name__
            raise UsageError(f'{self._said}: no condition ({reason}); write for instance "rating >= 4.0 and reviews >= 12"') from None
        for part in ast.walk(self._tree):
            self._check(part, columns)

    def _check(self, part: ast.AST, columns: Collection[str] | None) -> None:
        if not isinstance(part, _PARTS):
            raise UsageError(f"{self._said}: {type(part).__name__} is not allowed; use comparisons, and, or, not, in, + - * /")
        if isinstance(part, ast.Call) and (
            not isinstance(part.func, ast.Name) or part.func.id not in _FUNCTIONS or len(part.args) != 1 or part.keywords
        ):
            raise UsageError(f"{self._said}: only {', '.join(_FUNCTIONS)} can be called, with one value")
        if isinstance(part, ast.Constant) and not isinstance(part.value, (int, float, str, bool, type(None))):
            raise UsageError(f"{self._said}: {part.value!r} is neither a number nor text")
        if isinstance(part, ast.Name) and columns is not None and part.id not in columns and part.id not in _FUNCTIONS:
            close = difflib.get_close_matches(part.id, columns, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(columns)[:12])}"
            raise UsageError(f"{self._said}: no column {part.id}; {hint}")

    def __call__(self, row: Mapping[str, Any]) -> bool:
        """Whether it holds for a row."""
        try:
            return bool(self._value(self._tree, row))
        except RecursionError:
            raise UsageError(f"{self._said}: too deeply nested") from None

    def _value(self, node: ast.expr, row: Mapping[str, Any]) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return row.get(name)
            case ast.BoolOp(op=op, values=values):
                found = (self._value(value, row) for value in values)
                return all(found) if isinstance(op, ast.And) else any(found)
            case ast.UnaryOp(op=op, operand=operand):
                value = self._value(operand, row)
                if isinstance(op, ast.Not):
                    return not value
                number = _number(value)
                return None if number is None else -number if isinstance(op, ast.USub) else number
            case ast.BinOp(left=left, op=op, right=right):
                return _arithmetic(_ARITHMETIC[type(op)], self._value(left, row), self._value(right, row))
            case ast.Compare(left=left, ops=ops, comparators=others):
                values = [self._value(value, row) for value in (left, *others)]
                return all(_compared(_COMPARE[type(op)], one, other) for op, one, other in zip(ops, values, values[1:], strict=False))
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                return [self._value(part, row) for part in parts]
            case ast.Call(func=ast.Name(id=name), args=[argument]):
                return _FUNCTIONS[name](self._value(argument, row))
        raise UsageError(f"{self._said}: {type(node).__name__} is not allowed")


def _number(value: Any) -> float | None:
    if isinstance(value, (int, float)):
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _arithmetic(operation: Callable[[float, float], float], left: Any, right: Any) -> float | None:
    first, second = _number(left), _number(right)
    try:
        return None if first is None or second is None else operation(first, second)
    except (ZeroDivisionError, OverflowError):
        return None


def _compared(operation: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    if isinstance(left, (int, float)) != isinstance(right, (int, float)) and not isinstance(right, list):
        left, right = _number(left), _number(right)
    absent = left is None or right is None
    if absent and operation not in (operator.eq, operator.ne):
        return False
    if isinstance(right, list):
        right = right + [_number(value) for value in right] if isinstance(left, (int, float)) else right
    try:
        return bool(operation(left, right))
    except TypeError:
        return False
