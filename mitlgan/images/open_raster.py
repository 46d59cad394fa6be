"""OpenRaster files (.ora), the layered format of GIMP, Krita and MyPaint: https://www.openraster.org/baseline/file-layout-spec.html."""

from __future__ import annotations

import io
import zipfile
from xml.etree import ElementTree

from PIL import Image

from mitlgan.images.encode import encode_image, encode_with_text, to_picture
from mitlgan.images.layered_picture import LayeredPicture

MIME_TYPE = "image/openraster"
VERSION = "0.0.5"
THUMBNAIL_PX = 256
RESOLUTION_DPI = 72
NO_DATE = (1980, 1, 1, 0, 0, 0)
"""Date of all files in it, so that a picture's file always has the same bytes."""


def encode_open_raster(picture: LayeredPicture, text: str | None = None) -> bytes:
    """Encode a layered picture as OpenRaster.

    Args:
        picture: The picture.
        text: Text of the merged image's file; see `mitlgan.images.metadata`.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # stored: PNGs are compressed, and the type must be readable at its offset
        _add(archive, "mimetype", MIME_TYPE.encode())
        _add(archive, "stack.xml", _stack(picture))
        for index, layer in enumerate(picture.layers):
            _add(archive, _layer_path(index), encode_image(to_picture(layer.pixels)))
        _add(archive, "mergedimage.png", encode_with_text(picture.merged, "PNG", text))
        _add(archive, "Thumbnails/thumbnail.png", _thumbnail(to_picture(picture.merged)))
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, NO_DATE), content)


def _layer_path(index: int) -> str:
    return f"data/layer{index}.png"


def _stack(picture: LayeredPicture) -> bytes:
    size = {"w": str(picture.width), "h": str(picture.height), "xres": str(RESOLUTION_DPI), "yres": str(RESOLUTION_DPI)}
    root = ElementTree.Element("image", {"version": VERSION, **size})
    stack = ElementTree.SubElement(root, "stack")
    for index, layer in reversed(list(enumerate(picture.layers))):  # the format lists the frontmost layer first
        attributes = {"name": layer.name, "src": _layer_path(index), "x": "0", "y": "0", "opacity": "1.0", "visibility": "visible"}
        ElementTree.SubElement(stack, "layer", {**attributes, "composite-op": "svg:src-over"})
    ElementTree.indent(root)
    xml: bytes = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return xml


def _thumbnail(merged: Image.Image) -> bytes:
    merged.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)  # never enlarges, as the format demands
    return encode_image(merged)
