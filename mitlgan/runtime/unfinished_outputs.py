"""Removes what a failed or interrupted command has written of several files, so that the same command can run again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def remove_if_failed(*outputs: Path) -> Iterator[None]:
    """Remove the outputs if the context ends by an exception, an interrupt included; what existed before it stays.

    Args:
        outputs: Files or folders; of a folder that exists, what is added to it.
    """
    paths = [path.resolve() for path in outputs]  # `new/..` is a folder that exists
    before = {path: _children(path) for path in paths if os.path.lexists(path)}
    try:
        yield
    except BaseException:
        for path in paths:
            for added in [path] if path not in before else _children(path) - before[path]:
                _remove(added)
        raise


def _children(path: Path) -> set[Path]:
    return set(path.iterdir()) if path.is_dir() else set()


def _remove(path: Path) -> None:
    with suppress(OSError):  # the first error is the one to report
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
