"""Conditions on table rows, such as `rating >= 4.0 and reviews >= 12`, evaluated by simpleeval."""

from __future__ import annotations

import ast
import difflib
import math
import operator
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from simpleeval import EvalWithCompoundTypes

from mitlgan.errors import UsageError, to_one_line

MAX_LENGTH = 2000
FLOAT_WHOLE_LIMIT = 2.0**53
"""From here on a float leaves out digits of whole numbers, which JSON gives with all of them."""
_NUMBER = re.compile(r"[-+]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|(?:i|I)nf(?:inity)?|INF(?:INITY)?)")
"""A number as programs write it; `float` also takes `2020_06`, `iNf` and the digits of all scripts, which a table has as text."""
_WHOLE = re.compile(r"[-+]?[0-9]{1,4000}")  # more digits are beyond what int() takes
_DECIMAL_COMMA = re.compile(r"\s*[-+]?\d*,\d+\s*")


Comparison = Callable[[Any, Any], bool]


class _Text(str):
    """Text that is meant as text even if it is a number: quoted in a condition, or the result of `lower` or `text`."""

    __slots__ = ()


class _Constant(_Text):
    """Text that is quoted in a condition."""

    __slots__ = ()


_TRUTHS = {"true": True, "false": False}
_ABSENT_TEXTS = ("nan", "NaN")
"""What a CSV has in place of an absent value, beside an empty cell. `Nan` is a name."""


def is_absent(value: Any) -> bool:
    """Whether a cell has no value: None, the number `nan`, or its text in a CSV. An empty cell is empty text."""
    return value is None or (isinstance(value, float) and value != value) or (isinstance(value, str) and value.strip() in _ABSENT_TEXTS)


def cell_number(value: Any) -> float | None:
    """Return a number, or a cell's text that is one or a truth value; None for anything else, and for `nan`, which stands for an absent value.

    Blanks around a number do not matter. A number has the digits 0 to 9, a point and an exponent; `2020_06`, which Python takes for one, is text.
    `inf` and `infinity`, with a sign or without, are numbers in small letters, in capitals, and with a capital first, as pandas, R, Julia and databases
    write them. A column of words in which one of these is a name is still compared as words with quoted text: `brand == 'INFINITY'`.
    """
    if isinstance(value, int | float):
        return None if is_absent(value) else value
    if not isinstance(value, str):
        return None
    text = value.strip()
    if not _NUMBER.fullmatch(text):
        return None if isinstance(value, _Text) else _TRUTHS.get(text.lower())
    number = float(text)
    return number if abs(number) < FLOAT_WHOLE_LIMIT or not _WHOLE.fullmatch(text) else int(text)


def finite_number(value: Any) -> float | None:
    """Return a cell's number as a float; None without one, and for a number beyond all floats."""
    number = cell_number(value)
    try:
        return None if number is None or not math.isfinite(number) else float(number)
    except OverflowError:
        return None


def _truth(value: Any, say_text: Callable[[str], None]) -> bool:
    """Whether a value counts as true: text that is a number or `false` as these do, since the cells of a CSV are text; an absent value does not.

    Args:
        value: Of a cell, or computed.
        say_text: Receives any other text of a cell that counts as true, such as `no`.
    """
    if isinstance(value, str) and not isinstance(value, _Text):
        number = cell_number(value)
        if number is not None:
            return bool(number)
        if value.strip():
            say_text(value)
    return bool(value)


def _is_word(value: Any) -> bool:
    """Whether a value is quoted in the condition and no number: an order by it is one of letters."""
    return isinstance(value, _Constant) and cell_number(value) is None


def _letters(value: Any) -> Any:
    """Return a number as its text, which it is in a CSV, and the word of a truth value in small letters, which a CSV has in any."""
    if isinstance(value, int | float):
        value = str(value)
    is_truth = isinstance(value, str) and not isinstance(value, _Text) and value.strip().lower() in _TRUTHS
    return value.strip().lower() if is_truth else value


def _like(value: Any, other: Any) -> Any:
    """Return the truth value that a text is the word for, if only one of two values is quoted and the other is a truth value or number as well."""
    truth = _TRUTHS.get(value.strip().lower()) if isinstance(value, str) else None
    if truth is None or isinstance(other, bool):
        return value if truth is None else truth
    if not isinstance(other, str) or isinstance(value, _Text) == isinstance(other, _Text):
        return value
    is_like = other.strip().lower() in _TRUTHS or (isinstance(other, _Text) and cell_number(other) is not None)
    return truth if is_like else value


def _are_numbers(left: Any, right: Any, is_order: bool) -> bool:
    """Whether two values are compared as numbers; see `Condition`."""
    if not (isinstance(left, str) and isinstance(right, str)):
        return isinstance(left, int | float) != isinstance(right, int | float)
    texts = isinstance(left, _Text) + isinstance(right, _Text)
    if is_order:
        return texts < 2 and (cell_number(left) is not None or cell_number(right) is not None)
    return not texts and cell_number(left) is not None and cell_number(right) is not None


def _make_comparison(operation: Comparison, say_text: Callable[[str], None]) -> Comparison:
    """Return a comparison of values, among which text may be a number; of absent or incomparable values, only `==` and `!=` can hold.

    Args:
        operation: Compares two values of one kind.
        say_text: Receives the text of a cell that is compared with a number and is none.
    """
    is_order = operation not in (operator.eq, operator.ne)

    def number(value: Any) -> float | None:
        result = cell_number(value)
        if result is None and isinstance(value, str) and value.strip() and value.strip().lower() != "nan" and not isinstance(value, _Constant):
            say_text(value)
        return result

    def compare(left: Any, right: Any) -> bool:
        left, right = _like(left, right), _like(right, left)
        if is_order and (_is_word(left) or _is_word(right)):
            left, right = _letters(left), _letters(right)
        elif _are_numbers(left, right, is_order):
            left, right = number(left), number(right)
            if left is None or right is None:
                return operation is operator.ne
        if is_order and (left is None or right is None):
            return False
        try:
            return bool(operation(left, right))
        except TypeError:
            return False

    return compare


def _make_membership(among: bool) -> Comparison:
    """Return `in` or `not in`: each value of a list is compared as by `==`, and text is searched in text; false for an absent value."""
    equal = _make_comparison(operator.eq, lambda text: None)  # a list may hold both kinds

    def contains(values: Any, value: Any) -> bool:
        if isinstance(values, list | tuple):
            return any(equal(value, one) for one in values)
        if isinstance(values, str | int | float) and isinstance(value, str | int | float):
            return str(value) in str(values)  # a number is searched as its text, which it is in a CSV
        return value in values

    def compare(left: Any, right: Any) -> bool:
        if left is None or right is None:
            return False
        try:
            return among == contains(right, left)
        except TypeError:
            return False

    return compare


def _make_operation(operation: Callable[..., float]) -> Callable[..., float | None]:
    """Return an arithmetic operation on numbers, or text that is one; None for anything else, or without a result."""

    def compute(*values: Any) -> float | None:
        numbers = [cell_number(value) for value in values]
        try:
            return None if None in numbers else cell_number(operation(*numbers))
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
    ast.In: _make_membership(True),
    ast.NotIn: _make_membership(False),
    **{kind: _make_operation(operation) for kind, operation in _ARITHMETIC.items()},
}
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "lower": lambda value: None if value is None else _Text(str(value).lower()),
    "length": lambda value: None if value is None else len(str(value)),
    "number": cell_number,
    "text": lambda value: None if value is None else _Text(value),
}
_PARTS = (ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Compare, ast.BinOp, ast.Name, ast.Load, ast.Constant, ast.Tuple, ast.List, ast.Call,
          ast.Not, *_OPERATORS, *_COMPARISONS)  # fmt: skip


class Condition:
    """A condition on a row.

    Names are columns. Allowed are `and`, `or`, `not`, comparisons, `in`, `+ - * /`, numbers, quoted text, lists, and the functions lower, length,
    number and text.

    A table gives the same rows as CSV, whose cells are all text, and as JSON lines. Two values are compared as numbers if one is a number; by
    `<`, `<=`, `>` and `>=` also if one is text that is a number; by `==`, `!=` and `in` also if both are, and neither is quoted: `asin == '007'`
    compares text. An order by quoted text that is no number is one of letters, whatever the cell: `date >= '2020-06-01'`. What `lower` and `text`
    return counts as quoted, and two such values are compared as text: `text(date) < '2020'`. The cells `true` and `false`, in capitals or not, are
    truth values, which are the numbers 1 and 0 and equal their words, quoted or not. Any other text that is not empty counts as true, even `no`.

    A comparison by `<`, `<=`, `>`, `>=`, `in` or `not in` with an absent or incomparable value is false. An absent value equals `None` and other
    absent ones only; the cells `nan` and `NaN` are such. Functions of absent values, and arithmetic with them, are absent. An empty cell of a CSV is
    empty text.

    Attributes:
        names: The columns that it reads.
        text_rows: Number of rows so far in which a number was compared with text that is none.
        text_example: The first such text.
        truth_rows: Number of rows so far in which text that is neither a number nor a truth value counted as true.
        truth_example: The first such text.

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
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                part.value = _Constant(part.value)
        called = {id(part.func) for part in ast.walk(self._tree) if isinstance(part, ast.Call)}  # `text(text)`: a function, and a column of its name
        self.names = {part.id for part in ast.walk(self._tree) if isinstance(part, ast.Name) and id(part) not in called}
        if columns is not None:
            self.require_columns(columns)
        self.text_rows, self.text_example, self._row_text = 0, "", ""
        self.truth_rows, self.truth_example, self._row_truth = 0, "", ""
        comparisons = {kind: _make_comparison(operation, self._note_text) for kind, operation in _COMPARISONS.items()}
        operators = {**_OPERATORS, **comparisons, ast.Not: lambda value: not _truth(value, self._note_truth)}
        self._text, self._evaluator = text, EvalWithCompoundTypes(operators=operators, functions=_FUNCTIONS)
        self._evaluator.nodes[ast.BoolOp] = self._evaluate_junction

    def _evaluate_junction(self, node: ast.BoolOp) -> Any:
        """Return the value of `and` or `or` that decides."""
        value: Any = None
        for part in node.values:
            value = self._evaluator.eval(self._text, previously_parsed=part)
            if _truth(value, self._note_truth) == isinstance(node.op, ast.Or):
                break
        return value

    def _note_text(self, text: str) -> None:
        self._row_text = self._row_text or text

    def _note_truth(self, text: str) -> None:
        self._row_truth = self._row_truth or text

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

    def remarks(self) -> list[str]:
        """Return a line for each kind of text that may not mean what it counted as: text in place of a number, and in place of a truth value."""
        lines = []
        if self.text_rows:
            example = self.text_example[:40]
            is_text = any(isinstance(getattr(part, "value", None), _Text) for part in ast.walk(self._tree))
            advice = "; text(COLUMN) is compared as text" if is_text else ""
            advice = "; write decimals with a point" if _DECIMAL_COMMA.fullmatch(example) else advice
            lines.append(f"rows with text in place of a number: {self.text_rows:,}, such as {example!r}; it equals none{advice}")
        if self.truth_rows:
            example = self.truth_example[:40]
            way_out = f"; compare it, as in COLUMN == {example!r}, or COLUMN != '' for any"
            lines.append(f"rows with text in place of true or false: {self.truth_rows:,}, such as {example!r}; it counts as true{way_out}")
        return [to_one_line(f"{self._label}: {line}") for line in lines]

    def __call__(self, row: Mapping[str, Any]) -> bool:
        """Whether the condition holds for a row."""
        self._evaluator.names = lambda node: None if is_absent(row.get(node.id)) else row[node.id]
        self._row_text = self._row_truth = ""
        try:
            holds = _truth(self._evaluator.eval(self._text, previously_parsed=self._tree), self._note_truth)
        except RecursionError:
            raise UsageError(f"{self._label}: too deeply nested") from None
        if self._row_text:
            self.text_rows, self.text_example = self.text_rows + 1, self.text_example or self._row_text
        if self._row_truth:
            self.truth_rows, self.truth_example = self.truth_rows + 1, self.truth_example or self._row_truth
        return holds
