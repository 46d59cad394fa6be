"""How far an embedding is: told to whoever watches, who can end it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

Phase = Literal["starts", "search", "polish"]
Ended = Literal["goal", "settled", "steps", "time", "cancelled"]
"""Why it ended: the goal was reached, nothing got better, all steps were taken, the time was over, or the watcher wanted it."""


@dataclass(frozen=True, eq=False)
class Progress:
    """How far it is.

    Attributes:
        picture: Which, from 0 on; 0 while starts are looked through, which is done for all at once.
        pictures: Of how many.
        phase: What is done: random starts, search by Adam, polish by Levenberg-Marquardt.
        done: Steps of the phase.
        total: At most so many.
        psnr_db: Of the best so far, over [0, 1]; none while starts are looked through.
        z: Its latent (D,).
        image: Its picture (C, H, W) in [-1, 1].
        seconds: Since this picture was begun.
    """

    picture: int
    pictures: int
    phase: Phase
    done: int
    total: int
    psnr_db: float | None
    z: Tensor | None
    image: Tensor | None
    seconds: float


Watcher = Callable[[Progress], bool | None]
"""Is told between steps; False ends the embedding, which then gives the best that it has."""


class Teller(Protocol):
    """What is told of each step, and says whether there may be another: the clock, or a part of the way by it."""

    @property
    def over(self) -> Ended | None:
        """Why it must end now, if it must."""
        ...

    @property
    def gone(self) -> float:
        """Share of the time that is over, from 0 on; 0 without a limit."""
        ...

    def tell(
        self, phase: Phase, done: int, total: int, psnr_db: float | None = None, z: Tensor | None = None, image: Tensor | None = None
    ) -> Ended | None:
        """Tell the watcher; the answer is that of `over`."""
        ...


class Clock:
    """Time and the watcher's will.

    Args:
        watcher: None: nobody.
        seconds: Limit for each picture; None: none.
        pictures: How many there are.
    """

    def __init__(self, watcher: Watcher | None, seconds: float | None, pictures: int) -> None:
        self._watcher, self._limit_s, self._pictures = watcher, seconds, pictures
        self._began = time.monotonic()
        self.picture = 0
        self.cancelled = False

    def begin(self, picture: int) -> None:
        """Go on to a picture."""
        self.picture, self._began = picture, time.monotonic()

    @property
    def seconds(self) -> float:
        """Since this picture was begun."""
        return time.monotonic() - self._began

    @property
    def over(self) -> Ended | None:
        """Why it must end now, if it must."""
        if self.cancelled:
            return "cancelled"
        return "time" if self.gone >= 1 else None

    @property
    def gone(self) -> float:
        """Share of the time that is over, from 0 on; 0 without a limit."""
        return 0.0 if self._limit_s is None else self.seconds / self._limit_s

    def tell(
        self, phase: Phase, done: int, total: int, psnr_db: float | None = None, z: Tensor | None = None, image: Tensor | None = None
    ) -> Ended | None:
        """Tell the watcher; the answer is that of `over`."""
        if self._watcher is not None:
            state = Progress(self.picture, self._pictures, phase, done, total, psnr_db, z, image, self.seconds)
            self.cancelled = self.cancelled or self._watcher(state) is False
        return self.over


class PartClock:
    """The clock while a part of a latent is looked for: whoever watches is told of whole latents.

    Args:
        clock: The clock.
        whole: Latents (D,) of parts (P,).
        until: Share of the time by which the part must have ended; the rest is for what follows.
    """

    def __init__(self, clock: Teller, whole: Callable[[Tensor], Tensor], until: float = 1.0) -> None:
        self._clock, self._whole, self._until = clock, whole, until

    @property
    def over(self) -> Ended | None:
        """Why it must end now, if it must."""
        return self._clock.over or ("time" if self.gone >= self._until else None)

    @property
    def gone(self) -> float:
        """Share of the time that is over, from 0 on; 0 without a limit."""
        return self._clock.gone

    def tell(
        self, phase: Phase, done: int, total: int, psnr_db: float | None = None, z: Tensor | None = None, image: Tensor | None = None
    ) -> Ended | None:
        """Tell the watcher; the answer is that of `over`."""
        return self._clock.tell(phase, done, total, psnr_db, None if z is None else self._whole(z), image) or self.over
