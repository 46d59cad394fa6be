"""The rules of the house that a program can check: sizes of files and functions, names of constants and values."""

from __future__ import annotations

import ast
import fnmatch
import functools
import re
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "mitlgan"
SUPERLATIVE = re.compile(r"_?(MOST|LARGEST|LONGEST|HIGHEST|DEEPEST|FASTEST|LEAST|FEWEST|SMALLEST|NARROWEST|SLOWEST)(_|$)")
PARTICIPLE = re.compile(r"_?(found|told|seen|shown|said|drawn|given|wanted|taken|held)")


@functools.cache
def trees() -> dict[Path, ast.Module]:
    """The product's files, parsed: two seconds, so not before a test asks for it."""
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}


def test_few_files_at_the_top_and_none_is_long() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 8
    assert not [path for path in trees() if len(path.read_text(encoding="utf-8").splitlines()) > 350]


def test_no_folder_of_tests_is_left_out(pytestconfig: pytest.Config) -> None:
    """Pytest does not look into folders of some names, such as `build` by default."""
    folders = {folder for path in (ROOT / "tests").rglob("test_*.py") for folder in path.relative_to(ROOT).parents}
    assert len(folders) > 20
    patterns = pytestconfig.getini("norecursedirs")
    assert not [folder for folder in folders if folder.name and any(fnmatch.fnmatch(folder.name, pattern) for pattern in patterns)]


def test_functions_are_short() -> None:
    functions = [node for tree in trees().values() for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = [(node.end_lineno or node.lineno) - node.lineno + 1 for node in functions]
    assert not [node.name for node, length in zip(functions, lengths, strict=True) if length > 60]
    assert statistics.median(lengths) <= 8


def test_constants_and_functions_are_named_by_what_they_are() -> None:
    names = [node.id for tree in trees().values() for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    assert not [name for name in names if SUPERLATIVE.match(name)]
    functions = [node.name for tree in trees().values() for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert not [name for name in [*functions, *names] if PARTICIPLE.fullmatch(name)]
