"""Conditions on table rows, such as `rating >= 4.0 and reviews >= 12`, evaluated by simpleeval."""

from __future__ import annotations

import ast
import difflib
import operator
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from simpleeval import EvalWithCompoundTypes

from mitlgan.errors import UsageError, to_one_line

MAX_LENGTH = 2000
_DECIMAL_COMMA = re.compile(r"\s*[-+]?\d*,\d+\s*")


Comparison = Callable[[Any, Any], bool]


def _number(value: Any) -> float | None:
    """Return a number, or text that is one; None for anything else, and for `nan`, which stands for an absent value."""
    if not isinstance(value, (int, float)):
        try:
            value = float(value)
        except (TypeError, ValueError):
            return None
    return None if value != value else value


def _make_comparison(operation: Comparison, say_text: Callable[[str], None]) -> Comparison:
    """Return a comparison that is false for absent or incomparable values; text is compared with numbers as one.

    Args:
        operation: Compares two values of one kind.
        say_text: Receives the text that is compared with a number and is none.
    """

    def number(value: Any) -> float | None:
        result = _number(value)
        if result is None and isinstance(value, str) and value.strip() and value.strip().lower() != "nan":
            say_text(value)
        return result

    def compare(left: Any, right: Any) -> bool:
        if isinstance(left, int | float) != isinstance(right, int | float):
            left, right = number(left), number(right)
        if (left is None or right is None) and operation not in (operator.eq, operator.ne):
            return False
        try:
            return bool(operation(left, right))
        except TypeError:
            return False

    return compare


def _make_membership(among: bool) -> Comparison:
    """Return `in` or `not in`: each value of a list is compared as by `==`, and text is searched in text; false for an absent value."""
    equal = _make_comparison(operator.eq, lambda text: None)  # a list may hold both kinds

    def compare(left: Any, right: Any) -> bool:
        if left is None or right is None:
            return False
        try:
            return among == (any(equal(left, value) for value in right) if isinstance(right, list | tuple) else left in right)
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


_COMPARISONS: dict[type[ast.AST], Comparison] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
_ARITHMETIC: dict[type[ast.AST], Callable[..., float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv, ast.USub: operator.neg, ast.UAdd: operator.pos,
}  # fmt: skip
_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Not: operator.not_,
    ast.In: _make_membership(True),
    ast.NotIn: _make_membership(False),
    **{kind: _make_operation(operation) for kind, operation in _ARITHMETIC.items()},
}
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "lower": lambda value: str(value).lower(),
    "length": lambda value: len(str(value)),
    "number": _number,
    "text": str,
}
_PARTS = (ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Compare, ast.BinOp, ast.Name, ast.Load, ast.Constant, ast.Tuple, ast.List, ast.Call,
          *_OPERATORS, *_COMPARISONS)  # fmt: skip


class Condition:
    """A condition on a row.

    Names are columns. Allowed are `and`, `or`, `not`, comparisons, `in`, `+ - * /`, numbers, quoted text, lists, and the functions lower, length,
    number and text. A comparison with an absent or incomparable value is false; text is converted to a number if it is compared with one.

    Attributes:
        names: The columns that it reads.
        text_rows: Number of rows so far in which a number was compared with text that is none.
        text_example: The first such text.

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
            self._check(part)
        self.names = {part.id for part in ast.walk(self._tree) if isinstance(part, ast.Name)} - _FUNCTIONS.keys()
        if columns is not None:
            self.require_columns(columns)
        self.text_rows, self.text_example, self._row_text = 0, "", ""
        comparisons = {kind: _make_comparison(operation, self._note_text) for kind, operation in _COMPARISONS.items()}
        self._text, self._evaluator = text, EvalWithCompoundTypes(operators={**_OPERATORS, **comparisons}, functions=_FUNCTIONS)

    def _note_text(self, text: str) -> None:
        self._row_text = self._row_text or text

    def _check(self, part: ast.AST) -> None:
        if not isinstance(part, _PARTS):
            raise UsageError(f"{self._label}: {type(part).__name__} is not allowed; use comparisons, and, or, not, in, + - * /")
        if isinstance(part, ast.Call) and (
            not isinstance(part.func, ast.Name) or part.func.id not in _FUNCTIONS or len(part.args) != 1 or part.keywords
        ):
            raise UsageError(f"{self._label}: only {', '.join(_FUNCTIONS)} can be called, with one value")
        if isinstance(part, ast.Constant) and not isinstance(part.value, (int, float, str, bool, type(None))):
            raise UsageError(f"{self._label}: {part.value!r} is neither a number nor text")

    def require_columns(self, columns: Collection[str]) -> None:
        """Check that a table has the columns of the condition.

        Raises:
            UsageError: One does not exist; the message names the closest.
        """
        for name in sorted(self.names.difference(columns)):
            close = difflib.get_close_matches(name, columns, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(columns)[:12])}"
            raise UsageError(f"{self._label}: no column {name}; {hint}")

    def describe_text(self) -> str:
        """Return in one line in how many rows a number was compared with text that is none; empty if there were none."""
        if not self.text_rows:
            return ""
        example = self.text_example[:40]
        advice = "; write decimals with a point" if _DECIMAL_COMMA.fullmatch(example) else ""
        return to_one_line(f"{self._label}: rows with text in place of a number: {self.text_rows:,}, such as {example!r}; it equals none{advice}")

    def __call__(self, row: Mapping[str, Any]) -> bool:
        """Whether the condition holds for a row."""
        self._evaluator.names = lambda node: row.get(node.id)
        self._row_text = ""
        try:
            holds = bool(self._evaluator.eval(self._text, previously_parsed=self._tree))
        except RecursionError:
            raise UsageError(f"{self._label}: too deeply nested") from None
        if self._row_text:
            self.text_rows, self.text_example = self.text_rows + 1, self.text_example or self._row_text
        return holds
