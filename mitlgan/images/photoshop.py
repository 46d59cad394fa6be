"""Photoshop documents (.psd), written by psd-tools, the extra `psd`."""

from __future__ import annotations

import io

from PIL import Image

from mitlgan.errors import UsageError
from mitlgan.images.alpha import lay_on_white
from mitlgan.images.encode import to_picture
from mitlgan.images.layered_picture import LayeredPicture


def require_psd_tools(option: str) -> None:
    """Check that the package is installed, before anything is rendered.

    Raises:
        UsageError: It is not; the message begins with the option.
    """
    try:
        import psd_tools  # noqa: F401
    except ImportError:
        raise UsageError(f"{option}: psd needs psd-tools; `pip install 'mitlgan[psd]'`, or choose ora, which needs nothing") from None


def encode_photoshop(picture: LayeredPicture) -> bytes:
    """Encode a layered picture as a PSD of 8 bits: opaque colors, with the alpha of each layer as its mask.

    The merged image, which viewers show, has no alpha; that of a transparent picture is laid on white.

    Raises:
        UsageError: psd-tools is not installed.
    """
    require_psd_tools("psd")
    from psd_tools import PSDImage

    merged = to_picture(lay_on_white(picture.merged))
    document = PSDImage.new("RGB", merged.size)
    for layer in picture.layers:
        *colors, alpha = to_picture(layer.pixels).split()
        pixel_layer = document.create_pixel_layer(Image.merge("RGB", colors), name=layer.name)
        if not layer.is_opaque:
            pixel_layer.create_mask(alpha)
    # psd-tools would compose the merged image from the layers, by arithmetic of its own, when it saves.
    document._record.image_data.set_data([band.tobytes() for band in merged.split()], document._record.header)
    buffer = io.BytesIO()
    document._record.write(buffer)
    return buffer.getvalue()
