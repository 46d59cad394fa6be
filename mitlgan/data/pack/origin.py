"""Describes the pictures of a `--data` value in words that are true whatever they show."""

from __future__ import annotations

from pathlib import Path

from mitlgan.data.splits import DEMO

DEMO_PICTURES = {
    "fg": "the demo's objects, which are drawn",
    "bg": "the demo's places, which are photographed",
    "scene": "the demo's scenes, put together from drawn objects and photographed places",
}


def describe_origin(spec: str, role: str) -> str:
    """Return what the real pictures of a `--data` value are.

    Args:
        spec: `demo`, a folder, a pack, a file.
        role: Role of the pictures.
    """
    if spec == DEMO:
        return DEMO_PICTURES.get(role, "the demo's pictures")
    path = Path(spec)
    return f"the pictures of {path.stem if path.suffix == '.npy' else path.name}"
