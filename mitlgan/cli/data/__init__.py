"""`mitlgan data ...`: prepare pictures for training, one file per command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mitlgan.cli.data import augment, check, chess, fetch, matte_iou, open_images, pack, prepare, read, split, stats
from mitlgan.cli.options import group

app = group("Prepare pictures for training.")


@app.callback()
def _root() -> None:
    pass


_COMMANDS: dict[str, Callable[..., Any]] = {
    "split": split.split,
    "check": check.check,
    "prepare": prepare.prepare,
    "pack": pack.pack,
    "read": read.read,
    "fetch": fetch.fetch,
    "open-images": open_images.open_images,
    "stats": stats.stats,
    "augment": augment.augment,
    "matte-iou": matte_iou.matte_iou,
    "chess": chess.chess,
}
for _name, _command in _COMMANDS.items():
    app.command(_name)(_command)
