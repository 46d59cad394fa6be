"""Work of `data prepare` that one picture kills, as the system does when memory runs out, or that meets a fault of the machine."""

from __future__ import annotations

import os
import signal
from typing import Any

from mitlgan.data.build.prepare_image import Drawn, Shaper, Task
from mitlgan.data.decode.image_file import DecodedImage


class Fatal(Shaper):
    def drawn(self, task: Task) -> Drawn | dict[str, Any]:
        if task.name == "0003.png":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().drawn(task)


class OutOfMemory(Shaper):
    def _prepared(self, task: Task, decoded: DecodedImage) -> Drawn:
        if task.name == "0003.png":
            raise MemoryError
        return super()._prepared(task, decoded)
