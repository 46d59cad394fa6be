"""Matting: finds the object of a picture, with an ONNX network from a file or without any weights.

Every method takes an upright picture and returns its matte, (H, W) uint8, 255 where the object is opaque.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitlgan.errors import DataError, UsageError

Pixels = NDArray[np.uint8]
METHODS = ("auto", "alpha", "backdrop", "grabcut", "rectangle")
_ISNET_PX = 1024
_ISNET_COLORS = (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)  # mean and scale of the networks' training pixels
_U2NET_COLORS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
WORK_PX = 224  # GrabCut works at this size; its matte is enlarged
_COLOR_WEIGHT = 2.5
_MAX_PLAIN_DISTANCE = 14.0  # of border colors (0 to 255) to their median on a plain backdrop
_MIN_PLAIN_FRACTION = 0.9  # of the border that must have the backdrop's color


class MattingMethod(Protocol):
    """One way to find the object."""

    name: str

    def __call__(self, picture: Image.Image) -> Pixels | None:
        """Return the matte of an RGBA picture, (H, W) uint8; None if the method does not apply."""
        ...


def matting_methods(spec: str) -> list[MattingMethod]:
    """Return the matting methods to try in turn.

    Args:
        spec: One of `METHODS`, or an `.onnx` file. `auto` and a file use a picture's own transparency or plain backdrop if it has one. `rectangle` is
            the baseline: OpenCV's GrabCut, once, from a rectangle of 90 % of each side.

    Raises:
        UsageError: There is no such method or file.
    """
    if spec == "alpha":
        return [AlphaMatting()]
    if spec == "backdrop":
        return [AlphaMatting(), BackdropMatting()]
    if spec == "grabcut":
        return [GrabCutMatting()]
    if spec == "rectangle":
        return [GrabCutMatting("rectangle", margin=0.05, rounds=0, vivid=False)]
    if spec == "auto":
        return [AlphaMatting(), BackdropMatting(), GrabCutMatting()]
    if Path(spec).suffix.lower() == ".onnx":
        return [AlphaMatting(), BackdropMatting(), OnnxMatting(Path(spec))]
    raise UsageError(f"--matting {spec}: no such method; choose {', '.join(METHODS)}, or a model's .onnx file")


def find_matte(picture: Image.Image, methods: list[MattingMethod]) -> tuple[Pixels, MattingMethod] | None:
    """Return the matte of the first method that applies, and the method."""
    for method in methods:
        matte = method(picture)
        if matte is not None:
            return matte, method
    return None


@dataclass
class AlphaMatting:
    """Uses the picture's own transparency."""

    name: str = "alpha"

    def __call__(self, picture: Image.Image) -> Pixels | None:
        """Return None if all pixels are opaque."""
        alpha = np.array(picture.getchannel("A"))
        return None if alpha.min() > 250 else alpha


@dataclass
class MatteFile:
    """Uses the matte next to the picture (`NAME.matte.png`).

    Attributes:
        matte: (H, W) of the picture.
    """

    matte: Pixels
    name: str = "matte"

    def __call__(self, picture: Image.Image) -> Pixels:
        """Return the matte."""
        return self.matte


@dataclass
class BackdropMatting:
    """Cuts objects photographed on one color: pixels like the border, and connected to it, are backdrop."""

    name: str = "backdrop"

    def __call__(self, picture: Image.Image) -> Pixels | None:
        """Return None if the border is not of one color."""
        cv2 = import_opencv()
        rgb = np.array(picture.convert("RGB"))
        lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float32)
        frame = border_mask(rgb.shape[:2], 0.02)
        edge = lab[frame]
        color = np.median(edge, axis=0)
        distance = np.sqrt(((lab - color) ** 2).sum(2))
        if (distance[frame] < _MAX_PLAIN_DISTANCE).mean() < _MIN_PLAIN_FRACTION:
            return None
        low = max(4.0, 2.5 * float(np.median(distance[frame])))
        _, labels = cv2.connectedComponents((distance < 2 * low).astype(np.uint8), connectivity=4)
        outside = np.isin(labels, np.setdiff1d(np.unique(labels[frame]), [0]))
        soft = np.clip((distance - low) / (2 * low), 0, 1)
        # Pixels are part object, part backdrop only along the border of the outside.
        near = cv2.dilate(outside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        matte: Pixels = (np.where(near, soft, 1.0) * 255).astype(np.uint8)
        return matte


@dataclass
class GrabCutMatting:
    """GrabCut (Rother et al. 2004), from a rectangle with a narrow rim, then from one around the object.

    The second rectangle matters for small objects: most pixels of the first one are background, and its colors enter the object's model.

    Attributes:
        name: Name of the method.
        margin: Rim outside the first rectangle, as a share of the sides.
        surroundings: Margin of later rectangles around the object, as a share of the longer side.
        rounds: Number of later rectangles.
        vivid: Whether color is weighted above lightness.
    """

    name: str = "grabcut"
    margin: float = 0.02
    surroundings: float = 0.15
    rounds: int = 2
    vivid: bool = True

    def __call__(self, picture: Image.Image) -> Pixels:
        """Return a matte for any picture; `MatteFilter` decides whether it is usable."""
        cv2 = import_opencv()
        width, height = picture.size
        scale = min(1.0, WORK_PX / max(width, height))
        small = (max(8, round(width * scale)), max(8, round(height * scale)))
        rgb = np.array(picture.convert("RGB").resize(small, Image.Resampling.BOX))
        colors = _vivid(rgb) if self.vivid else rgb
        rows, columns = colors.shape[:2]
        inset = round(rows * self.margin), round(columns * self.margin)
        mask = self._cut(colors, (inset[0], rows - inset[0], inset[1], columns - inset[1]))
        for _ in range(self.rounds):
            if mask.mean() < 0.01:
                break
            refined = self._cut(colors, self._around(mask))
            if refined.mean() < 0.01:
                break
            mask = refined
        matte = cv2.GaussianBlur(mask.astype(np.uint8) * 255, (0, 0), 0.6)
        return np.array(Image.fromarray(matte).resize((width, height), Image.Resampling.BICUBIC))

    def _around(self, mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
        """Return the object's box without the outermost 2 % of its pixels, with a margin."""
        pad = int(self.surroundings * max(mask.shape))
        box: list[int] = []
        for axis in (1, 0):
            share = np.cumsum(mask.sum(axis)) / mask.sum()
            box += [int(np.searchsorted(share, 0.02)) - pad, int(np.searchsorted(share, 0.98)) + 1 + pad]
        return box[0], box[1], box[2], box[3]

    def _cut(self, colors: Pixels, box: tuple[int, int, int, int]) -> NDArray[np.bool_]:
        cv2 = import_opencv()
        marks = np.full(colors.shape[:2], cv2.GC_BGD, np.uint8)
        top, bottom, left, right = box
        marks[max(0, top) : bottom, max(0, left) : right] = cv2.GC_PR_FGD
        marks[border_mask(marks.shape, 0.02)] = cv2.GC_BGD
        if not (marks == cv2.GC_PR_FGD).any():
            return np.zeros(marks.shape, dtype=bool)
        cv2.setRNGSeed(0)  # per thread; the same picture gives the same matte
        cv2.grabCut(colors, marks, None, np.zeros((1, 65)), np.zeros((1, 65)), 5, cv2.GC_INIT_WITH_MASK)
        return clean_mask(marks % 2 == 1)


def _vivid(rgb: Pixels) -> Pixels:
    """Return pixels in CIE Lab with color weighted above lightness, which shading changes within one object."""
    lab = import_opencv().cvtColor(rgb, import_opencv().COLOR_RGB2LAB).astype(np.float32)
    lab[..., 1:] = (lab[..., 1:] - 128) * _COLOR_WEIGHT + 128
    vivid: Pixels = np.clip(lab, 0, 255).astype(np.uint8)
    return vivid


class OnnxMatting:
    """A salient-object network of the U2-Net or IS-Net families (Qin et al. 2020, 2022), from a local ONNX file.

    Args:
        path: The file. Input (1, 3, S, S); the first output is the matte in [0, 1]. S = 1024 is an IS-Net, whose pixels are scaled differently.

    Raises:
        UsageError: There is no such file.
        DataError: The file is not such a model.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise UsageError(f"--matting {path}: no such file; give a U2-Net or IS-Net model in ONNX form, or `grabcut`")
        runtime = _import_extra("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1  # pictures are processed in parallel
        options.log_severity_level = 4
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own exceptions share no base but this
            raise DataError(f"--matting {path}: not a usable ONNX model ({str(error)[:160]})") from None
        first = self._session.get_inputs()[0]
        if len(first.shape) != 4 or first.shape[1] != 3 or len(self._session.get_inputs()) != 1:
            raise DataError(f"--matting {path}: takes {first.shape}, not one picture (1, 3, S, S); give a U2-Net or IS-Net model")
        self.size_px = first.shape[2] if isinstance(first.shape[2], int) else 320
        self._input, self._output = first.name, self._session.get_outputs()[0].name
        self.name = path.stem

    def __call__(self, picture: Image.Image) -> Pixels:
        """Return a matte for any picture."""
        small = picture.convert("RGB").resize((self.size_px, self.size_px), Image.Resampling.LANCZOS)
        values = np.asarray(small, dtype=np.float32) / 255
        mean, scale = _ISNET_COLORS if self.size_px >= _ISNET_PX else _U2NET_COLORS
        if self.size_px < _ISNET_PX:
            values = values / max(float(values.max()), 1e-6)
        values = (values - mean) / scale
        output = self._session.run([self._output], {self._input: values.transpose(2, 0, 1)[None].astype(np.float32)})[0]
        matte = np.clip(np.nan_to_num(np.asarray(output, dtype=np.float32).reshape(-1, *np.shape(output)[-2:])[0]), 0, 1)
        return np.array(Image.fromarray((matte * 255).round().astype(np.uint8)).resize(picture.size, Image.Resampling.BICUBIC))


def clean_mask(mask: NDArray[np.bool_], min_island: float = 0.08, max_hole: float = 0.01) -> NDArray[np.bool_]:
    """Remove islands and fill holes of a mask.

    Args:
        mask: (H, W).
        min_island: Minimum size of an island, as a share of the largest.
        max_hole: Size below which holes are filled, as a share of the picture.
    """
    cv2 = import_opencv()
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count > 1:
        areas = stats[:, cv2.CC_STAT_AREA]
        mask = np.isin(labels, [label for label in range(1, count) if areas[label] >= min_island * areas[1:].max()])
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=4)
    holes = [label for label in range(1, count) if stats[label, cv2.CC_STAT_AREA] < max_hole * mask.size]
    filled: NDArray[np.bool_] = mask | np.isin(labels, holes)
    return filled


def border_mask(shape: tuple[int, ...], share: float) -> NDArray[np.bool_]:
    """Return a mask of the outermost `share` of the rows and columns on each side, at least one of each."""
    rows, columns = (max(1, round(side * share)) for side in shape[:2])
    frame = np.ones(shape[:2], dtype=bool)
    frame[rows:-rows, columns:-columns] = False
    return frame


def intersection_over_union(matte: Pixels, truth: Pixels) -> float:
    """Return the intersection over union of two mattes, both thresholded at one half."""
    first, second = matte > 127, truth > 127
    union = int((first | second).sum())
    return float((first & second).sum() / union) if union else 1.0


def import_opencv() -> Any:
    """Import OpenCV, which only the data tools need.

    Raises:
        UsageError: OpenCV is not installed.
    """
    cv2 = _import_extra("cv2")
    if cv2.getNumThreads() != 1:
        cv2.setNumThreads(1)  # pictures are processed in parallel
    return cv2


def _import_extra(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise UsageError(f"{module}: needed for this and not installed; `pip install 'mitlgan[data]'`") from None
