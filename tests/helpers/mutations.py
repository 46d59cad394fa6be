"""Damage to valid files, at random and from a seed."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

COUNTS = [400, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(3000)])]
"""Mutations of each reader: a part each time, all of them by `pytest -m slow`."""
counts = pytest.mark.parametrize("count", COUNTS)

ODD_BYTES = (
    b"",
    b"\0",
    b"\n",
    b"[",
    b"]",
    b"{",
    b"}",
    b'"',
    b"=",
    b"nan",
    b"inf",
    b"-1",
    b"1e999",
    b"9" * 5000,
    b"\xff\xfe",
    b"\\u0000",
    b"'''",
    b"null",
)
ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**62,
    2**64,
    10**400,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "\x00",
    "\ud800",
    "fg",
    [],
    [[]],
    {},
    {"": {}},
    "x" * 3000,
)


def mutated(valid: bytes, draw: random.Random) -> bytes:
    """One to four changes: bits flipped, pieces overwritten, cut out, doubled, moved, or the end cut off."""
    data = bytearray(valid)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        at = draw.randrange(len(data) + 1)
        length = draw.choice((1, 1, 2, 8, 64, 1024))
        kind = draw.randrange(7)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            data[at : at + length] = draw.randbytes(length)
        elif kind == 2:
            del data[at : at + length]
        elif kind == 3:
            data[at:at] = data[at : at + length]
        elif kind == 4:
            data[at : at + draw.choice((0, 1, 4))] = draw.choice(ODD_BYTES)
        elif kind == 5:
            data[at:at] = draw.randbytes(length)
        else:
            del data[at:]
    return bytes(data)


def mutated_tree(valid: Any, draw: random.Random) -> Any:
    """A JSON tree with one value replaced by an odd one, or one key removed, renamed or added."""
    tree = json.loads(json.dumps(valid))
    node, key = draw.choice([*_places(tree)])
    kind = draw.randrange(4)
    if isinstance(node, dict) and kind == 0:
        del node[key]
    elif isinstance(node, dict) and kind == 1:
        node[draw.choice((f"{key}_", "", "x" * 300, "a\nb", "\ud800"))] = node.pop(key)
    elif kind == 2:
        other = draw.choice([*_places(tree)])
        node[key] = json.loads(json.dumps(other[0][other[1]]))
    else:
        node[key] = draw.choice(ODD_VALUES)
    return tree


def _places(tree: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in keys:
        found.append((tree, key))
        found += _places(tree[key])
    return found
