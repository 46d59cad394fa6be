"""Statistics for TensorBoard, the same as in `stats.jsonl`; needs `pip install 'mitlgan[tensorboard]'`."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mitlgan.errors import UsageError
from mitlgan.runtime.files import ensure_folder

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"
AXES = ("iteration", "kimg")


class TensorBoardLogger:
    """Writes a run's statistics as scalars into `RUN/tensorboard`, by iteration.

    Raises:
        UsageError: TensorBoard is not installed.
    """

    def __init__(self) -> None:
        if importlib.util.find_spec("tensorboard") is None:
            raise UsageError("--log tensorboard: is not installed; pip install 'mitlgan[tensorboard]'")
        self._writer: SummaryWriter | None = None

    def log(self, run: Path, values: Mapping[str, Any]) -> None:
        """Write one line of statistics.

        Args:
            run: The run directory.
            values: As in `stats.jsonl`; values that are not numbers are skipped.

        Raises:
            ResourceError: The folder cannot be written, or is a link.
        """
        step = int(values["iteration"])
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            ensure_folder(run / FOLDER, root=run)
            # A resumed run repeats the iterations after its checkpoint: `purge_step` drops what was written of them before.
            self._writer = SummaryWriter(str(run / FOLDER), purge_step=step)
        for name, value in values.items():
            if name not in AXES and isinstance(value, (int, float)):
                self._writer.add_scalar(name, float(value), step)

    def close(self) -> None:
        """Write what is still buffered and close the files."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
