"""Finds faces with OpenCV: by its frontal face cascade (Viola & Jones 2001), which is in its package, or by YuNet, whose model file the user gives."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.readers.common import Picture, decode_files, write_pack
from mitlgan.errors import DataError, UsageError
from mitlgan.runtime.progress import Say, ignore_message

MIN_FACE_FRACTION = 0.15  # of the picture's shorter side; smaller detections are mostly wrong
MARGIN = 0.1  # of the face's side, on each side
YUNET_SCORE = 0.7
"""Confidence below which YuNet's detections do not count."""
YUNET_SOURCE = "face_detection_yunet_2023mar.onnx is at https://github.com/opencv/opencv_zoo (MIT)"
FaceFinder = Callable[[Image.Image], tuple[int, int, int, int] | None]


def face_finder(model: Path | None = None) -> FaceFinder:
    """Return a function from a picture to the box (left, top, right, bottom, px) of its largest face, or None.

    Args:
        model: YuNet as ONNX (Wu et al. 2023), which finds turned and covered faces, too; None: the cascade.

    Raises:
        UsageError: OpenCV is not installed, or has no cascades.
        DataError: The model file cannot be used.
    """
    try:
        import cv2
    except ImportError:
        raise UsageError("--faces: needs OpenCV; install it with `pip install 'mitlgan[faces]'`") from None
    version: Any = cv2
    if model is not None:
        return _yunet_finder(version, model)
    if not hasattr(version, "CascadeClassifier"):
        raise UsageError(f"--faces: OpenCV {version.__version__} has no cascades any more; install `opencv-python-headless<5`")
    cascade = version.CascadeClassifier(str(Path(version.data.haarcascades) / "haarcascade_frontalface_default.xml"))

    def find(picture: Image.Image) -> tuple[int, int, int, int] | None:
        min_px = max(8, int(min(picture.size) * MIN_FACE_FRACTION))
        boxes = cascade.detectMultiScale(np.asarray(picture.convert("L")), 1.1, 5, minSize=(min_px, min_px))
        if len(boxes) == 0:
            return None
        return _largest_box(boxes, picture.size)

    return find


def _yunet_finder(cv2: Any, model: Path) -> FaceFinder:
    if not model.is_file():
        raise DataError(f"--face-model {model}: no such file; {YUNET_SOURCE}")
    try:
        detector = cv2.FaceDetectorYN.create(str(model), "", (320, 320), YUNET_SCORE)
        detector.detect(np.zeros((320, 320, 3), np.uint8))
    except (cv2.error, AttributeError, SystemError):
        raise DataError(f"--face-model {model}: not a YuNet that OpenCV {cv2.__version__} can read; {YUNET_SOURCE}") from None

    def find(picture: Image.Image) -> tuple[int, int, int, int] | None:
        detector.setInputSize(picture.size)
        _, boxes = detector.detect(np.ascontiguousarray(np.asarray(picture.convert("RGB"))[:, :, ::-1]))
        boxes = [box for box in ([] if boxes is None else boxes) if box[2] >= MIN_FACE_FRACTION * min(picture.size)]
        return _largest_box(boxes, picture.size) if boxes else None

    return find


def _largest_box(boxes: Any, size_px: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the largest of boxes (left, top, width, height, ...) with its margin, within a picture (width, height)."""
    left, top, width, height = (int(side) for side in max(boxes, key=lambda box: int(box[2]) * int(box[3]))[:4])
    margin = int(MARGIN * width)
    return max(0, left - margin), max(0, top - margin), min(size_px[0], left + width + margin), min(size_px[1], top + height + margin)


def crop_faces(pictures: Iterable[Picture], finder: FaceFinder, skipped: list[dict[str, str]]) -> Iterator[Picture]:
    """Yield each picture's largest face; pictures without one are added to `skipped`."""
    for picture in pictures:
        image = picture.pixels if isinstance(picture.pixels, Image.Image) else Image.fromarray(picture.pixels)
        box = finder(image)
        if box is None:
            skipped.append({"name": picture.name, "reason": "no face found"})
        else:
            yield replace(picture, pixels=image.crop(box))


def pack_faces(
    source: Path, out: Path, *, size_px: int, resize: str = "lanczos", limit: int | None = None, say: Say = ignore_message,
    face_model: Path | None = None,
) -> ImagePack:  # fmt: skip
    """Pack the largest face of every picture under a folder, or of its training pictures if it has split folders.

    Args:
        source: The folder.
        out: The pack.
        size_px: Height and width.
        resize: Name of the filter.
        limit: Maximum number of faces.
        say: Receives which part of the folder is used.
        face_model: As of `face_finder`.

    Raises:
        UsageError: OpenCV is not installed, or the source is an archive.
        DataError: There are no pictures, or no faces.
    """
    from mitlgan.data.sources.split_folders import TRAIN
    from mitlgan.data.splits import find_folder_splits

    finder = face_finder(face_model)
    splits = find_folder_splits(source)
    split = splits.require(TRAIN)
    if sentence := splits.describe(split):
        say(sentence)
    pictures = splits.source(split)
    if pictures.sequential:
        raise UsageError(f"--faces: {source} is an archive; unpack it, and name the folder")
    files = [(entry.name, entry.path) for entry in pictures.entries if entry.path is not None]
    skipped = pictures.leftovers.skipped()
    faces = itertools.islice(crop_faces(decode_files(files, 4 * size_px, skipped), finder, skipped), limit)
    detector = "haarcascade_frontalface_default" if face_model is None else face_model.name
    account = {"format": "folder", "source": source.name, "faces": f"largest, OpenCV {detector}"}
    return write_pack(faces, out, size_px=size_px, resize=resize, grey=False, account=account, skipped=skipped)
