"""Progress and time limit of an inversion."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Phase = Literal["starts", "search", "polish"]
StopReason = Literal["goal", "settled", "steps", "time", "cancelled"]
"""Why a search stopped: goal reached, no more improvement, all steps done, time limit, or the callback returned False."""


@dataclass(frozen=True, eq=False)
class InversionStatus:
    """State of an inversion between two steps.

    Attributes:
        picture: Index of the picture; 0 during the random starts, which all pictures share.
        pictures: Number of pictures.
        phase: Random starts, search by Adam, or polish by Levenberg-Marquardt.
        done: Steps of the phase so far.
        total: Maximum number of steps of the phase.
        psnr_db: PSNR of the best latent over [0, 1]; None during the random starts.
        image: Its image (C, H, W) in [-1, 1].
        seconds: Time since this picture was started.
    """

    picture: int
    pictures: int
    phase: Phase
    done: int
    total: int
    psnr_db: float | None
    image: Tensor | None
    seconds: float


StatusCallback = Callable[[InversionStatus], bool | None]
"""Receives the status between steps; False stops the inversion, which then returns its best result so far."""


class SearchProgress:
    """Progress reports, and the time limit of each picture.

    Args:
        callback: Receives the reports; None for none.
        seconds: Time limit of each picture; None for no limit.
        pictures: Number of pictures.
    """

    def __init__(self, callback: StatusCallback | None = None, seconds: float | None = None, pictures: int = 1) -> None:
        self._callback, self._limit_s, self._pictures = callback, seconds, pictures
        self._cancelled = False
        self.start_picture(0)

    def start_picture(self, index: int) -> None:
        """Start the time of a picture."""
        self._picture, self._start_s = index, time.monotonic()

    @property
    def seconds(self) -> float:
        """Time since this picture was started."""
        return time.monotonic() - self._start_s

    @property
    def stop_reason(self) -> StopReason | None:
        """Why the search must stop now; None if it may continue."""
        if self._cancelled:
            return "cancelled"
        return None if self._limit_s is None or self.seconds < self._limit_s else "time"

    def report(self, phase: Phase, done: int, total: int, psnr_db: float | None = None, image: Tensor | None = None) -> StopReason | None:
        """Report a step to the callback; return why the search must stop, if it must."""
        if self._callback is not None:
            status = InversionStatus(self._picture, self._pictures, phase, done, total, psnr_db, image, self.seconds)
            self._cancelled = self._callback(status) is False or self._cancelled
        return self.stop_reason
