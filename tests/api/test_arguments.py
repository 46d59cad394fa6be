"""The ranges, choices and types that docstrings of `import mitlgan` promise are kept, in words that name the argument; nothing is written."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from helpers import images

import mitlgan
from mitlgan.api import measurements
from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.cli.main import app
from mitlgan.errors import UsageError
from mitlgan.images.resize import PictureSize
from mitlgan.project.make import JOBS
from mitlgan.training.run_directory import Run

NAN = math.nan
IMAGES = torch.zeros(2, 3, 8, 8)
NO_FLAG = [None, 1, "no"]
NO_WHOLE = [True, 1.5, "2", NAN]
NO_NUMBER = [True, "2", NAN, math.inf]
NO_TEXTS: list[Any] = ["wgan", None, [1], 3]
NO_PATH: list[Any] = [3, "", True]
NO_SEED = [-1, 2**31, *NO_WHOLE]
NO_IMAGES = [None, 3, torch.zeros(0, 3, 8, 8), torch.zeros(2, 2, 8, 8), torch.zeros(3, 8, 8), torch.full((1, 3, 8, 8), NAN)]
NO_DEVICE: list[Any] = ["gpu", "", None, 0]

REFUSED: dict[str, dict[str, list[Any]]] = {
    "pretrain": {
        "role": ["sky", None], "data": NO_PATH, "recipe": ["nonsense", *NO_PATH], "settings": [[1], "a=1", 3], "start": NO_PATH, "critic": NO_PATH,
        "reuse": NO_FLAG, "out": [None, *NO_PATH], "seed": NO_SEED, "device": NO_DEVICE, "quiet": NO_FLAG,
    },
    "compose": {
        "layers": ["fg", ["fg"], {"fg": 3}, {1: "a"}], "data": NO_PATH, "recipe": ["nonsense", "recommended/fg-32", *NO_PATH], "settings": [[1], 3],
        "critic": NO_PATH, "reuse": NO_FLAG, "out": [None, *NO_PATH], "seed": NO_SEED, "device": NO_DEVICE, "quiet": NO_FLAG,
    },
    "make": {
        "photographs": [None, *NO_PATH], "out": NO_PATH, "minutes": [0, -1, 1e6, *NO_NUMBER], "size_px": [31, 48, 128, *NO_WHOLE],
        "holdout": ["100%", "x", "", -5, 1.5, True], "licence": ["x" * 201, "", 3], "allow_bad": NO_FLAG, "seed": NO_SEED,
        "jobs": [0, 3, None, *NO_WHOLE], "quiet": NO_FLAG,
    },
    "split": {
        "photographs": [None, *NO_PATH], "out": [None, *NO_PATH], "size_px": [15, 1025, None, *NO_WHOLE], "matting": ["magic", "", None],
        "background": ["sky", None], "holdout": ["100%", "x", "", -5, 1.5, True, None], "exclude": NO_TEXTS, "keep": NO_TEXTS,
        "allow_bad": NO_FLAG, "quiet": NO_FLAG,
    },
    "evaluate": {
        "artifact": [None, *NO_PATH], "data": NO_PATH, "split": ["all", "", 1], "samples": [-1, 0, 1, *NO_WHOLE], "extractors": [["magic"], *NO_TEXTS],
        "weights": NO_PATH, "seed": [-1, *NO_WHOLE, None], "write_card": NO_FLAG, "device": NO_DEVICE, "quiet": NO_FLAG,
    },
    "compare": {
        "composed": NO_PATH, "baselines": [[], ["magic"], *NO_TEXTS], "samples": [-1, 0, 1, *NO_WHOLE], "extractors": [["magic"], *NO_TEXTS],
        "seeds": [0, 101, None, *NO_WHOLE], "jobs": [0, 65, None, *NO_WHOLE], "out": [None, *NO_PATH], "device": NO_DEVICE, "quiet": NO_FLAG,
    },
    "grid": {"images": NO_IMAGES, "columns": [0, -1, None, *NO_WHOLE], "scale": [0, 513, None, *NO_WHOLE]},
    "sheet": {"stages": [None, IMAGES], "columns": [0, -1, None, *NO_WHOLE], "scale": [0, 1025, *NO_WHOLE]},
    "animate": {
        "frames": NO_IMAGES, "extension": ["avi", "", None], "fps": [0.99, 121, None, *NO_NUMBER], "scale": [0, 513, None, *NO_WHOLE],
    },
    "load": {"path": [None, *NO_PATH], "device": NO_DEVICE},
    "export": {
        "artifact": ["scene", None], "to": ["gif", None], "out": [None, *NO_PATH], "seed": [-1, *NO_WHOLE], "like": NO_PATH, "size": [8, None],
        "has_metadata": NO_FLAG, "licence": ["MIT", "", 3],
    },
    "interpolate": {
        "artifact": [None, "scene"], "points": [[], [1], 3, [1, -1], [1, 1.5], [1, {"fg": 1}], [1, torch.zeros(3)], [1, "absent.json"], [1, None]],
        "frames": [1, 10_001, None, *NO_WHOLE], "layers": [[], "fg", ["sky"], [1]], "easing": ["bounce", None], "lerp": NO_FLAG, "loop": NO_FLAG,
        "ping_pong": NO_FLAG, "truncation": [-0.1, 2.1, None, *NO_NUMBER],
    },
    "mix": {
        "artifact": [None, "scene"], "first": [-1, None, True, "absent.json", {"fg": 1}], "second": [-1, None, True, "absent.json", {"fg": 1}],
        "weight": [-0.1, 1.1, {"fg": 2.0}, {"sky": 0.5}, {"fg": "a"}, *NO_NUMBER], "layers": [[], "fg", ["sky"], [1]],
        "features": [0, 99, "sky", True, 1.5], "lerp": NO_FLAG, "truncation": [-0.1, 2.1, None, *NO_NUMBER],
    },
    "directions": {
        "artifact": [None, "scene"], "layer": ["sky", 3], "by": ["luck", None], "count": [0, 4, *NO_WHOLE], "stage": [1, "sky", True],
        "samples": [1, 4097, None, *NO_WHOLE],
    },
}  # fmt: skip
"""Values just outside what a docstring allows, or of another type, by function and argument."""
FREE_OF_RANGE = {("make", "matting")}
"""Refused only where photographs are cut; see `test_make_refuses_a_method_before_it_writes`."""
PAIRS = [
    ("interpolate", {"easing": "slerp", "lerp": True}, "lerp"), ("interpolate", {"easing": "linear", "lerp": True}, "lerp"),
    ("interpolate", {"loop": True, "ping_pong": True}, "ping_pong"), ("mix", {"features": 1, "lerp": True}, "lerp"),
    ("mix", {"layers": ["fg"], "weight": {"bg": 0.5}}, "weight"), ("directions", {"by": "features", "count": 3, "samples": 3}, "samples"),
    ("animate", {"extension": "gif", "fps": 51}, "fps"), ("export", {"to": "card", "seed": 1}, "seed"),
]  # fmt: skip
"""Arguments that contradict each other, and one that the message names."""
COMMAND_WORDS = {
    "size": "size_px", "baseline": "baselines", "extractor": "extractors", "layer": "layers", "artifact": "artifact", "write_card": "write_card",
}  # fmt: skip
"""Option of a command -> argument of the function of the same name, where they are not one word."""
LATER_DEFAULTS: dict[tuple[str, str], Any] = {
    ("split", "keep"): (), ("split", "exclude"): (), ("compare", "baselines"): ("wgan",), ("compare", "extractors"): (), ("evaluate", "extractors"): (),
    ("mix", "weight"): 0.5, ("make", "jobs"): JOBS,
}  # fmt: skip
"""What a command takes where its option, whose default is None, is not given."""


def _function(name: str) -> Callable[..., Any]:
    return measurements.compare if name == "compare" else getattr(mitlgan, name)  # type: ignore[no-any-return]


@pytest.fixture
def calls(
    artifacts: dict[str, Path], composed: Run, packs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, dict[str, Any]]]:
    """Arguments with which each function works, but for the one to change; the working folder is empty."""
    monkeypatch.chdir(tmp_path)
    scene = mitlgan.load(artifacts["scene"])
    yield {
        "pretrain": {"role": "bg", "data": packs["bg"], "quiet": True},
        "compose": {"data": packs["scene"], "quiet": True},
        "make": {"photographs": "photographs", "quiet": True},
        "split": {"photographs": "photographs", "out": "layers", "quiet": True},
        "evaluate": {"artifact": composed.path, "data": packs["scene"], "quiet": True},
        "compare": {"composed": composed.path, "quiet": True},
        "grid": {"images": IMAGES}, "sheet": {"stages": scene.layers([0])}, "animate": {"frames": IMAGES},
        "load": {"path": artifacts["fg"]},
        "export": {"artifact": scene, "to": "png-sheet", "out": "x.png"},
        "interpolate": {"artifact": scene, "points": [0, 1], "frames": 2}, "mix": {"artifact": scene, "first": 0, "second": 1},
        "directions": {"artifact": scene},
    }  # fmt: skip
    assert not [path for path in tmp_path.iterdir() if path.name != "photographs"]


def _refused(name: str, arguments: dict[str, Any], argument: str) -> str:
    with pytest.raises(UsageError) as refused:
        _function(name)(**arguments)
    message = str(refused.value)
    assert argument in message, message
    assert f"--{argument.replace('_', '-')}" not in message, message
    return message


def test_every_argument_of_every_function_is_in_the_table() -> None:
    assert set(REFUSED) == set(mitlgan.__all__) - {"__version__"}
    for name, table in REFUSED.items():
        assert set(table) | {argument for function, argument in FREE_OF_RANGE if function == name} == set(inspect.signature(_function(name)).parameters)


@pytest.mark.parametrize(("name", "argument"), [(name, argument) for name, table in REFUSED.items() for argument in table])
def test_what_the_docstring_excludes_is_refused_in_its_words(name: str, argument: str, calls: dict[str, dict[str, Any]]) -> None:
    for value in REFUSED[name][argument]:
        message = _refused(name, calls[name] | {argument: value}, argument)
        assert message.startswith(argument) or (name, argument) in {("compose", "layers"), ("export", "licence")}, message


@pytest.mark.parametrize(("name", "arguments", "argument"), PAIRS)
def test_arguments_that_contradict_each_other_are_refused(
    name: str, arguments: dict[str, Any], argument: str, calls: dict[str, dict[str, Any]]
) -> None:
    _refused(name, calls[name] | arguments, argument)


def test_make_refuses_a_method_before_it_writes(calls: dict[str, dict[str, Any]]) -> None:
    pytest.importorskip("cv2")
    folder = Path("photographs")
    folder.mkdir()
    for index in range(8):
        images.smooth(index, (40, 40)).save(folder / f"{index}.png")
    for value in ("magic", "", 3):
        with pytest.raises(UsageError, match=r"^matting"):
            mitlgan.make(folder, matting=value, quiet=True)  # type: ignore[arg-type]


def test_references_to_the_hub_and_absent_devices_are_refused_in_one_line(calls: dict[str, dict[str, Any]]) -> None:
    with pytest.raises(UsageError, match=r"^hf://x: write it as"):
        mitlgan.load("hf://x")
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match=r"^device cuda: torch sees no CUDA device here; use device cpu$"):
            mitlgan.load(calls["load"]["path"], "cuda")
    assert mitlgan.load(calls["load"]["path"], "auto").sample([0]).shape[0] == 1


def test_numbers_of_other_libraries_are_numbers(calls: dict[str, dict[str, Any]]) -> None:
    import numpy as np

    assert mitlgan.grid(IMAGES, columns=np.int64(2)) == mitlgan.grid(IMAGES, columns=2)
    assert mitlgan.animate(IMAGES, ".webp", fps=np.float32(12)) == mitlgan.animate(IMAGES, "webp", fps=12)
    scene: LoadedArtifact = calls["mix"]["artifact"]
    assert torch.equal(mitlgan.interpolate(scene, np.arange(2), frames=2), mitlgan.interpolate(scene, range(2), frames=2))  # type: ignore[arg-type]
    for channels in (1, 3, 4):
        assert mitlgan.animate(torch.zeros(2, channels, 8, 8))[8:12] == b"WEBP"
        assert mitlgan.grid(torch.zeros(2, channels, 8, 8))[1:4] == b"PNG"


@pytest.mark.parametrize("seeds", [None, 5, "12", [True], [1.5], [-1], [], {"fg": 3}, {"fg": [0], "bg": [0, 1]}, {"sky": [0]}])
def test_seeds_that_are_none(seeds: Any, calls: dict[str, dict[str, Any]]) -> None:
    for method in (calls["mix"]["artifact"].sample, calls["mix"]["artifact"].layers):
        with pytest.raises(UsageError, match=r"^seed"):
            method(seeds)


def test_latents_that_are_none(calls: dict[str, dict[str, Any]]) -> None:
    scene: LoadedArtifact = calls["mix"]["artifact"]
    for z in (None, torch.zeros(2, 3), torch.zeros(5), torch.full((1, 5), NAN), torch.tensor([[0, 0, 0, 0, math.inf]])):
        for method in (scene.images_from_latents, scene.layers_from_latents):
            with pytest.raises(UsageError, match=r"^latents: "):
                method(z)  # type: ignore[arg-type]


def test_export_names_the_size(calls: dict[str, dict[str, Any]]) -> None:
    for size in (PictureSize(scale=0), PictureSize(size_px=5000), PictureSize(scale=2, size_px=9)):
        with pytest.raises(UsageError, match=r"^(scale|size): "):
            mitlgan.export(**calls["export"] | {"to": "ora", "out": "x.ora", "size": size})


OLD = [
    ("interpolate", {"straight": True}, {"lerp": True}), ("interpolate", {"closed": True}, {"loop": True}),
    ("interpolate", {"there_and_back": True}, {"ping_pong": True}), ("mix", {"straight": True}, {"lerp": True}), ("directions", {"k": 2}, {"count": 2}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new"), OLD)
def test_old_names_work_with_a_note(name: str, old: dict[str, Any], new: dict[str, Any], calls: dict[str, dict[str, Any]]) -> None:
    (before,), (now,) = old, new
    with pytest.warns(DeprecationWarning, match=f"^{before}: is now called {now}; the old name goes with the next release$") as notes:
        found = _function(name)(**calls[name] | old)
    assert [note.filename for note in notes] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = _function(name)(**calls[name] | new)
    assert str(found) == str(expected)
    with pytest.raises(UsageError, match=f"^{before}: is now called {now}; give it once$"):
        _function(name)(**calls[name] | old | new)


def _commands() -> dict[str, Any]:
    group: Any = typer.main.get_command(app)
    return {name: group.commands["data"].commands["split"] if name == "split" else group.commands[name] for name in COMPARABLE}


COMPARABLE = ("compare", "compose", "directions", "evaluate", "export", "interpolate", "make", "mix", "split")
"""Functions whose command has their name; `pretrain` is a group of commands, `grid` and `sheet` are not the command `grid`."""


def _shared() -> Iterator[tuple[str, Any, inspect.Parameter]]:
    for name, command in _commands().items():
        arguments = inspect.signature(_function(name)).parameters
        for parameter in command.params:
            words = [word.removeprefix("--").replace("-", "_") for word in (*parameter.opts, parameter.name or "")]
            for word in dict.fromkeys(COMMAND_WORDS.get(word, word) for word in words):
                if word in arguments:
                    yield name, parameter, arguments[word]
                    break


def test_functions_and_commands_have_the_same_defaults() -> None:
    shared = list(_shared())
    assert len(shared) > 40
    for name, parameter, argument in shared:
        if argument.default is inspect.Parameter.empty:
            continue
        default = LATER_DEFAULTS.get((name, argument.name), getattr(parameter.default, "value", parameter.default))
        assert argument.default == default or argument.default == str(default), (name, argument.name)


def test_ranges_of_commands_are_those_of_functions(calls: dict[str, dict[str, Any]]) -> None:
    """A value just outside the range of an option is refused by the function, too."""
    checked = 0
    for name, parameter, argument in _shared():
        bounds: Any = parameter if hasattr(parameter, "min") else parameter.type  # by the version of typer
        low, high = (getattr(bounds, side, None) for side in ("min", "max"))
        for value in ([] if low is None else [low - 1]) + ([] if high is None else [high + 1]):
            _refused(name, calls[name] | {argument.name: value}, argument.name)
            checked += 1
    assert checked > 15
