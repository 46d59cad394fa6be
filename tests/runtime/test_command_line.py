"""Commands in messages can be copied into a shell."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import mitlgan
from mitlgan.runtime.command_line import command_line, option_words

UNQUOTED = {"recipe.role", "chosen.role", "role", "command", "name", "factor", "size_px", "alpha", "LAYER_ROLES.get(name, 'fg')"}
"""What stands in a command as it is: names of commands and roles, and numbers."""
ELSEWHERE = {("data/curate/check_advice.py", "out"), ("data/curate/check_advice.py", "_options(report, options)")}
"""What was quoted before it is put there."""
SCRIPTS = {"cli/completion.py"}
"""Files that write scripts for a shell, not messages."""


def commands(node: ast.JoinedStr) -> list[str]:
    """Return the expressions that an f-string puts into commands."""
    values = [ast.unparse(part.value) for part in node.values if isinstance(part, ast.FormattedValue)]
    text, numbers = "", iter(range(len(values)))
    for part in node.values:
        text += str(part.value) if isinstance(part, ast.Constant) else f"\0{next(numbers)}\0"
    inside = "".join(re.findall(r"mitlgan [a-z][^`;]*", text))
    return [values[int(number)] for number in re.findall(r"\0(\d+)\0", inside)]


def test_a_command_is_quoted_word_by_word() -> None:
    words = ["train", Path("my recipes/it's.toml"), "--set", "critic.widths=[32, 64]", "--data", "a;b"]
    assert shlex.split(command_line(words)) == ["mitlgan", *map(str, words)]
    assert command_line(["resume", Path("runs/compose/x-001")]) == "mitlgan resume runs/compose/x-001"
    assert option_words([("--a", 0), ("--b", None), ("--c", ""), ("--d", Path("e f"))]) == ["--a", "0", "--c", "", "--d", "e f"]


def test_no_message_has_a_command_with_a_path_as_it_is() -> None:
    root, unquoted = Path(mitlgan.__file__).parent, []
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for expression in commands(node) if isinstance(node, ast.JoinedStr) and place not in SCRIPTS else ():
                is_quoted = expression in UNQUOTED or (place, expression) in ELSEWHERE or expression.startswith(("shlex.quote(", "command_line("))
                unquoted += [] if is_quoted else [f"{place}:{node.lineno}: {expression}"]
    assert unquoted == []
