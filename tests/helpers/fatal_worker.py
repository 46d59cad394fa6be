"""Work of `data prepare` that one picture kills, as the system does when memory runs out, or that meets a fault of the machine."""

from __future__ import annotations

import os
import signal
from typing import Any

from mitlgan.data.build.prepare_image import ImagePreparer, PreparedImage
from mitlgan.data.decode.image_file import DecodedImage
from mitlgan.data.sources.entry import ImageEntry


class Fatal(ImagePreparer):
    def prepare(self, entry: ImageEntry) -> PreparedImage | dict[str, Any]:
        if entry.name == "0003.png":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().prepare(entry)


class OutOfMemory(ImagePreparer):
    def _crop_and_resize(self, entry: ImageEntry, decoded: DecodedImage) -> PreparedImage:
        if entry.name == "0003.png":
            raise MemoryError
        return super()._crop_and_resize(entry, decoded)
