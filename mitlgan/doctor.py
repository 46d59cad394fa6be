"""doctor: versions, device, speed and installed weights of this machine."""

from __future__ import annotations

import os
import platform
import time
from importlib.util import find_spec
from typing import Any

import torch

from mitlgan import recipe
from mitlgan.data.pack.cache import cache_dir
from mitlgan.errors import MitlganError
from mitlgan.metrics.extractors.digits.network import DIGIT_EXTRACTOR
from mitlgan.metrics.extractors.inception import cached_inception_weights
from mitlgan.metrics.extractors.names import OFFLINE_EXTRACTOR, SECOND_EXTRACTOR
from mitlgan.metrics.extractors.registry import open_extractor
from mitlgan.runtime.distributed import resolve_device
from mitlgan.runtime.files import ensure_folder
from mitlgan.version import __version__

EXTRAS: dict[str, tuple[str, tuple[str, ...]]] = {
    "data": ("cutting photographs: data split, make", ("cv2", "onnxruntime")),
    "studio": ("the web page: studio", ("fastapi", "uvicorn")),
    "faces": ("data prepare --crop face", ("cv2",)),
    "heic": ("reading HEIC photographs", ("pillow_heif",)),
    "video": ("writing MP4", ("av",)),
    "export": ("export --to onnx", ("onnx", "onnxscript", "onnxruntime")),
    "parquet": ("reading parquet files of pictures", ("pyarrow",)),
    "psd": ("layered files for Photoshop", ("psd_tools",)),
    "tensorboard": ("--log tensorboard", ("tensorboard",)),
    "notebook": ("the tour in JupyterLab", ("jupyterlab", "ipywidgets")),
}
"""Extras by name: what each brings, and the modules that it needs."""
SGEMM_SIDE = 1024
SGEMM_REPEATS = 9


def examine() -> dict[str, Any]:
    """Return facts about this machine by name; the speed is measured now."""
    device = resolve_device("auto")
    return {
        "mitlgan": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": _device_name(device),
        "cpu cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "sgemm GFLOP/s": round(measure_sgemm_gflops(device), 1),
        "cache": _cache_status(),
        "recipes": f"{len(recipe.shipped_recipe_names())} in {recipe.shipped_folder('recipes')}",
        "pretrained": f"{len(list(recipe.shipped_folder('pretrained').rglob('*.safetensors')))} in {recipe.shipped_folder('pretrained')}",
        "efficientnet-lite0": _weights_status(OFFLINE_EXTRACTOR),
        "mobilenet-v2": _weights_status(SECOND_EXTRACTOR),
        "digits": _weights_status(DIGIT_EXTRACTOR),
        "inception": _inception_status(),
        **{f"extra {name}": _extra_status(name) for name in EXTRAS},
    }


def measure_sgemm_gflops(device: torch.device) -> float:
    """Return the speed of a square matrix product in billions of float32 operations per second; the median of several."""
    a = torch.rand(SGEMM_SIDE, SGEMM_SIDE, device=device)
    b = torch.rand(SGEMM_SIDE, SGEMM_SIDE, device=device)
    times_s = []
    for _ in range(SGEMM_REPEATS + 2):
        start_s = time.perf_counter()
        product = a @ b
        product[0, 0].item()  # a GPU computes asynchronously; this waits for it
        times_s.append(time.perf_counter() - start_s)
    return 2 * SGEMM_SIDE**3 / sorted(times_s[2:])[SGEMM_REPEATS // 2] / 1e9


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name()})"
    return f"{device.type} ({platform.machine()})"


def _cache_status() -> str:
    """Return the cache folder, or why there is none: nothing needs it to check a machine."""
    try:
        folder = cache_dir()
        ensure_folder(folder)
    except MitlganError as error:
        return str(error)
    except RuntimeError as error:  # a user without a home
        return f"none ({error}); set MITLGAN_CACHE to a writable folder"
    return str(folder)


def _weights_status(name: str) -> str:
    try:
        open_extractor(name)
    except MitlganError as error:
        return str(error)
    return "found"


def _extra_status(name: str) -> str:
    purpose, modules = EXTRAS[name]
    missing = [module for module in modules if find_spec(module) is None]
    way = "installed" if not missing else f"absent; pip install 'mitlgan[{name}]'"
    return f"{purpose}: {way}"


def _inception_status() -> str:
    path = cached_inception_weights()
    return str(path) if path else "absent; downloaded when first named, or give --weights FILE"
