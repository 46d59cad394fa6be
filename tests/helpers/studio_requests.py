"""How tests ask the server, and read its pictures."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def read(picture: str | bytes) -> Pixels:
    """The pixels (H, W, C) of a data URI or a PNG."""
    content = picture if isinstance(picture, bytes) else base64.b64decode(picture.removeprefix("data:image/png;base64,"), validate=True)
    return np.asarray(Image.open(io.BytesIO(content)))


def asked(state: dict[str, Any], **more: str) -> dict[str, str]:
    """A state in a query."""
    return {"s": json.dumps(state), **more}
