"""Work of `data prepare` that one picture kills, as the system does when memory runs out, or that meets a fault of the machine."""

from __future__ import annotations

import os
import signal
from typing import Any

from mitlgan.data.build.prepare_image import ImagePreparer, PreparedImage, Task
from mitlgan.data.decode.image_file import DecodedImage


class Fatal(ImagePreparer):
    def drawn(self, task: Task) -> PreparedImage | dict[str, Any]:
        if task.name == "0003.png":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().drawn(task)


class OutOfMemory(ImagePreparer):
    def _prepared(self, task: Task, decoded: DecodedImage) -> PreparedImage:
        if task.name == "0003.png":
            raise MemoryError
        return super()._prepared(task, decoded)
