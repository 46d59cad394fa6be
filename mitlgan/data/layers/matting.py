"""Which pixels are the object: mattes of ordinary pictures, by an ONNX network from a file, or without any weights.

Every method takes an upright picture and gives its matte, (H, W) uint8, 255 where the object is opaque.
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
_ISNET_COLOURS = (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)  # mean and scale of the pixels that the networks were trained on
_U2NET_COLOURS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
WORK_PX = 224  # GrabCut works at this size; its matte is enlarged
_COLOUR_WEIGHT = 2.5
_PLAIN_SPREAD = 14.0  # of the border's colours (0 to 255): below it a backdrop is plain
_PLAIN_SHARE = 0.9  # of the border that must have the backdrop's colour


class MattingMethod(Protocol):
    """One way to find the object."""

    name: str

    def __call__(self, picture: Image.Image) -> Pixels | None:
        """The matte of an RGBA picture, (H, W) uint8; None where this way does not apply."""
        ...


def matting_methods(spec: str) -> list[MattingMethod]:
    """The methods to try in turn.

    Args:
        spec: One of `METHODS`, or an `.onnx` file. `auto` and a file take a picture's own transparency or plain backdrop where it has one.
            `rectangle` is the floor that others are measured against: GrabCut as OpenCV has it, once, from a rectangle of 90 % of each side.

    Raises:
        UsageError: No such method or file.
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
    """The first method's matte that applies, and the method."""
    for method in methods:
        matte = method(picture)
        if matte is not None:
            return matte, method
    return None


@dataclass
class AlphaMatting:
    """The picture's own transparency."""

    name: str = "alpha"

    def __call__(self, picture: Image.Image) -> Pixels | None:
        """None where all is opaque."""
        alpha = np.array(picture.getchannel("A"))
        return None if alpha.min() > 250 else alpha


@dataclass
class MatteFile:
    """The matte that lies beside the picture (`NAME.matte.png`).

    Attributes:
        matte: (H, W) of the picture that is asked about.
    """

    matte: Pixels
    name: str = "matte"

    def __call__(self, picture: Image.Image) -> Pixels:
        """It."""
        return self.matte


@dataclass
class BackdropMatting:
    """Objects photographed on one colour: what is like the border, and connected to it, is backdrop."""

    name: str = "backdrop"

    def __call__(self, picture: Image.Image) -> Pixels | None:
        """None where the border has no one colour."""
        cv2 = import_opencv()
        rgb = np.array(picture.convert("RGB"))
        lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float32)
        frame = border_mask(rgb.shape[:2], 0.02)
        edge = lab[frame]
        colour = np.median(edge, axis=0)
        distance = np.sqrt(((lab - colour) ** 2).sum(2))
        if (distance[frame] < _PLAIN_SPREAD).mean() < _PLAIN_SHARE:
            return None
        low = max(4.0, 2.5 * float(np.median(distance[frame])))
        _, labels = cv2.connectedComponents((distance < 2 * low).astype(np.uint8), connectivity=4)
        outside = np.isin(labels, np.setdiff1d(np.unique(labels[frame]), [0]))
        soft = np.clip((distance - low) / (2 * low), 0, 1)
        # Only along the border of the outside are pixels part object, part backdrop.
        near = cv2.dilate(outside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        matte: Pixels = (np.where(near, soft, 1.0) * 255).astype(np.uint8)
        return matte


@dataclass
class GrabCutMatting:
    """No weights: GrabCut (Rother et al. 2004) from a rectangle that leaves a narrow rim, then again from the found object's own surroundings.

    The second rectangle matters for small objects: in the first one most pixels are background, and its colours enter the object's model.
    """

    name: str = "grabcut"
    margin: float = 0.02
    surroundings: float = 0.15
    rounds: int = 2
    vivid: bool = True

    def __call__(self, picture: Image.Image) -> Pixels:
        """A matte for any picture; whether it is a good one is for the gate to say."""
        cv2 = import_opencv()
        width, height = picture.size
        scale = min(1.0, WORK_PX / max(width, height))
        small = (max(8, round(width * scale)), max(8, round(height * scale)))
        rgb = np.array(picture.convert("RGB").resize(small, Image.Resampling.BOX))
        colours = _vivid(rgb) if self.vivid else rgb
        rows, columns = colours.shape[:2]
        inset = round(rows * self.margin), round(columns * self.margin)
        found = self._cut(colours, (inset[0], rows - inset[0], inset[1], columns - inset[1]))
        for _ in range(self.rounds):
            if found.mean() < 0.01:
                break
            again = self._cut(colours, self._around(found))
            if again.mean() < 0.01:
                break
            found = again
        matte = cv2.GaussianBlur(found.astype(np.uint8) * 255, (0, 0), 0.6)
        return np.array(Image.fromarray(matte).resize((width, height), Image.Resampling.BICUBIC))

    def _around(self, found: NDArray[np.bool_]) -> tuple[int, int, int, int]:
        """The object's box, less the outermost 2 % of its pixels, with a margin."""
        pad = int(self.surroundings * max(found.shape))
        box: list[int] = []
        for axis in (1, 0):
            share = np.cumsum(found.sum(axis)) / found.sum()
            box += [int(np.searchsorted(share, 0.02)) - pad, int(np.searchsorted(share, 0.98)) + 1 + pad]
        return box[0], box[1], box[2], box[3]

    def _cut(self, colours: Pixels, box: tuple[int, int, int, int]) -> NDArray[np.bool_]:
        cv2 = import_opencv()
        marks = np.full(colours.shape[:2], cv2.GC_BGD, np.uint8)
        top, bottom, left, right = box
        marks[max(0, top) : bottom, max(0, left) : right] = cv2.GC_PR_FGD
        marks[border_mask(marks.shape, 0.02)] = cv2.GC_BGD
        if not (marks == cv2.GC_PR_FGD).any():
            return np.zeros(marks.shape, dtype=bool)
        cv2.setRNGSeed(0)  # of this thread: the same picture gives the same matte
        cv2.grabCut(colours, marks, None, np.zeros((1, 65)), np.zeros((1, 65)), 5, cv2.GC_INIT_WITH_MASK)
        return clean_mask(marks % 2 == 1)


def _vivid(rgb: Pixels) -> Pixels:
    """Pixels in CIE Lab, colour weighted above lightness, which shading changes within one object."""
    lab = import_opencv().cvtColor(rgb, import_opencv().COLOR_RGB2LAB).astype(np.float32)
    lab[..., 1:] = (lab[..., 1:] - 128) * _COLOUR_WEIGHT + 128
    vivid: Pixels = np.clip(lab, 0, 255).astype(np.uint8)
    return vivid


class OnnxMatting:
    """A salient-object network of the U2-Net or IS-Net families (Qin et al. 2020, 2022), from a local ONNX file.

    Args:
        path: The file. Input (1, 3, S, S); the first output is the matte in [0, 1]. S = 1024 tells an IS-Net, whose pixels are scaled otherwise.

    Raises:
        UsageError: No such file.
        DataError: Not a model of that form.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise UsageError(f"--matting {path}: no such file; give a U2-Net or IS-Net model in ONNX form, or `grabcut`")
        runtime = _extra("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1  # pictures are worked on in parallel
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
        """A matte for any picture."""
        small = picture.convert("RGB").resize((self.size_px, self.size_px), Image.Resampling.LANCZOS)
        values = np.asarray(small, dtype=np.float32) / 255
        mean, scale = _ISNET_COLOURS if self.size_px >= _ISNET_PX else _U2NET_COLOURS
        if self.size_px < _ISNET_PX:
            values = values / max(float(values.max()), 1e-6)
        values = (values - mean) / scale
        found = self._session.run([self._output], {self._input: values.transpose(2, 0, 1)[None].astype(np.float32)})[0]
        matte = np.clip(np.nan_to_num(np.asarray(found, dtype=np.float32).reshape(-1, *np.shape(found)[-2:])[0]), 0, 1)
        return np.array(Image.fromarray((matte * 255).round().astype(np.uint8)).resize(picture.size, Image.Resampling.BICUBIC))


def clean_mask(found: NDArray[np.bool_], smallest: float = 0.08, hole: float = 0.01) -> NDArray[np.bool_]:
    """Drop islands below `smallest` of the largest, and fill holes below `hole` of the picture."""
    cv2 = import_opencv()
    count, labels, stats, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8), connectivity=8)
    if count > 1:
        areas = stats[:, cv2.CC_STAT_AREA]
        found = np.isin(labels, [label for label in range(1, count) if areas[label] >= smallest * areas[1:].max()])
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~found).astype(np.uint8), connectivity=4)
    holes = [label for label in range(1, count) if stats[label, cv2.CC_STAT_AREA] < hole * found.size]
    filled: NDArray[np.bool_] = found | np.isin(labels, holes)
    return filled


def border_mask(shape: tuple[int, ...], share: float) -> NDArray[np.bool_]:
    """The outermost `share` of the rows and columns on each side, at least one."""
    rows, columns = (max(1, round(side * share)) for side in shape[:2])
    frame = np.ones(shape[:2], dtype=bool)
    frame[rows:-rows, columns:-columns] = False
    return frame


def intersection_over_union(matte: Pixels, truth: Pixels) -> float:
    """Of both mattes cut at one half."""
    first, second = matte > 127, truth > 127
    union = int((first | second).sum())
    return float((first & second).sum() / union) if union else 1.0


def import_opencv() -> Any:
    """OpenCV, which only the data tools need.

    Raises:
        UsageError: It is not installed.
    """
    cv2 = _extra("cv2")
    if cv2.getNumThreads() != 1:
        cv2.setNumThreads(1)  # pictures are worked on in parallel
    return cv2


def _extra(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise UsageError(f"{module}: needed for this and not installed; `pip install 'mitlgan[data]'`") from None
