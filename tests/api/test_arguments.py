"""The ranges, choices and types that docstrings of `import mitlgan` promise are kept, in words that name the argument; nothing is written."""

from __future__ import annotations

import dataclasses
import inspect
import io
import math
import typing
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Any

import numpy as np
import pytest
import torch
from helpers import images, tiny_runs
from PIL import Image

import mitlgan
from mitlgan.api import measurements
from mitlgan.api.context import resolve_recipe
from mitlgan.artifacts.card import read_card
from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.cli.main import parser
from mitlgan.editing import Point
from mitlgan.errors import UsageError
from mitlgan.images.pixels import to_float, to_uint8
from mitlgan.images.resize import PictureSize
from mitlgan.networks import CompositionStages, EffectStrengths, LayerTransform
from mitlgan.project.make import JOBS
from mitlgan.recipe import as_dict, to_toml
from mitlgan.runtime.arguments import takes_arguments
from mitlgan.training.run_directory import Run

NAN = math.nan
IMAGES = torch.zeros(2, 3, 8, 8)
NO_FLAG = [None, 1, "no"]
NO_WHOLE = [True, 1.5, "2", NAN]
NO_NUMBER = [True, "2", NAN, math.inf, 10**400, -(10**400), 1j]
NO_TEXTS: list[Any] = ["wgan", None, [1], [""], {"a": 1}, 3]
NO_PATH: list[Any] = [3, "", True]
NO_SEED = [-1, 2**31, *NO_WHOLE]
NO_IMAGES = [
    None, 3, torch.zeros(0, 3, 8, 8), torch.zeros(2, 2, 8, 8), torch.zeros(3, 8, 8), torch.full((1, 3, 8, 8), NAN), IMAGES.bool(), IMAGES.long(),
    IMAGES + 255, IMAGES - 1.1, IMAGES.numpy(), IMAGES + 0j,
]  # fmt: skip
NO_SETTINGS = [[1], "a=1", 3, {1: 2}, {"seed": {1}}, {"seed": [b"1"]}]
NO_DEVICE: list[Any] = ["gpu", "", None, 0]

REFUSED: dict[str, dict[str, list[Any]]] = {
    "pretrain": {
        "role": ["sky", None], "data": NO_PATH, "recipe": ["nonsense", *NO_PATH], "settings": NO_SETTINGS, "start": NO_PATH, "critic": NO_PATH,
        "reuse": NO_FLAG, "out": [None, *NO_PATH], "seed": NO_SEED, "device": NO_DEVICE, "quiet": NO_FLAG,
    },
    "compose": {
        "layers": ["fg", ["fg"], {"fg": 3}, {1: "a"}, {"fg": ""}, {"": "a"}], "data": NO_PATH,
        "recipe": ["nonsense", "recommended/fg-32", *NO_PATH], "settings": NO_SETTINGS, "critic": NO_PATH, "reuse": NO_FLAG,
        "out": [None, *NO_PATH], "seed": NO_SEED, "device": NO_DEVICE, "quiet": NO_FLAG,
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
    "load": {"path": [None, *NO_PATH], "device": ["cpu:x", "cpu:", torch.device("meta"), *NO_DEVICE]},
    "export": {
        "artifact": ["scene", None], "to": ["gif", None], "out": [None, *NO_PATH], "seed": [-1, *NO_WHOLE], "like": NO_PATH, "size": [8, None],
        "has_metadata": NO_FLAG, "licence": ["MIT", "", 3],
    },
    "interpolate": {
        "artifact": [None, "scene"],
        "points": [[], [1], 3, [1, -1], [1, 1.5], [1, {"fg": 1}], [1, torch.zeros(3)], [1, "absent.json"], [1, None], [1, ""], torch.zeros(5),
                   torch.zeros(2, 4), torch.zeros(2, 5, dtype=torch.bool)],
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
        "samples": [1, 16385, *NO_WHOLE],
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


class PathOfOther:
    """A path of another library."""

    def __fspath__(self) -> str:
        return "a"


FORMS: dict[Any, list[tuple[Any, Any]]] = {
    bool: [(True, True), (np.bool_(True), True), (np.array(True), True), (torch.tensor(False), False)],
    int: [(2, 2), (np.int64(2), 2), (np.uint8(2), 2), (np.array(2), 2), (torch.tensor(2), 2)],
    float: [(2, 2), (0.5, 0.5), (np.float32(0.5), 0.5), (np.array(0.5), 0.5), (torch.tensor(0.5), 0.5), (Fraction(1, 2), 0.5), (Decimal("0.5"), 0.5)],
    str: [("a", "a"), (np.str_("a"), "a")],
    Path: [(Path("a"), Path("a")), (PathOfOther(), Path("a"))],
    torch.device: [(torch.device("cpu"), torch.device("cpu"))],
    NoneType: [(None, None)],
}
"""Values of each type that arguments may have, and what arrives."""
LISTS: dict[Any, tuple[list[Callable[[], Any]], Any]] = {
    str: ([lambda: ["a"], lambda: ("a",), lambda: {"a"}, lambda: iter("a"), lambda: {"a": 1}.keys(), lambda: np.array(["a"])], ("a",)),
    Point: ([
        lambda: [1, 2], lambda: range(1, 3), lambda: np.array([1, 2]), lambda: torch.tensor([1, 2]), lambda: iter([1, 2]), lambda: {1: 0, 2: 0}.keys(),
        lambda: [np.int8(1), torch.tensor(2)],
    ], (1, 2)),
}  # fmt: skip
"""The same of lists, by the type of their elements."""


def _hints() -> Iterator[tuple[str, Any]]:
    for name in REFUSED:
        for argument, hint in typing.get_type_hints(_function(name)).items():
            if argument != "return":
                yield f"{name}({argument})", hint


def _arrives(value: Any, hint: Any) -> Any:
    """Return what a function of `import mitlgan` receives for an argument with this annotation."""

    def take(value: Any) -> Any:
        return value

    take.__annotations__["value"] = hint
    return takes_arguments()(take)(value)


@pytest.mark.parametrize(("argument", "hint"), list(_hints()), ids=lambda value: value if isinstance(value, str) else "")
def test_every_form_of_a_type_arrives(argument: str, hint: Any) -> None:
    choices = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, UnionType) else (hint,)
    checked = 0
    for choice in choices:
        origin, parts = typing.get_origin(choice), typing.get_args(choice)
        forms = FORMS.get(choice, [])
        if origin is typing.Literal:
            forms = [(np.str_(parts[0]), parts[0])]
        elif isinstance(origin, type) and issubclass(origin, Mapping):
            element = next(iter(FORMS.get(part) for part in (typing.get_args(parts[1]) or parts[1:]) if part in FORMS), [(np.int64(2), 2)])
            forms = [(MappingProxyType({np.str_("fg"): value}), {"fg": expected}) for value, expected in element]
        elif isinstance(origin, type) and issubclass(origin, Iterable):
            makers, expected_list = LISTS[parts[0]]
            forms = [(make(), expected_list) for make in makers]
        for value, expected in forms:
            found = _arrives(value, hint)
            assert (found, type(found)) == (expected, type(expected)) or isinstance(expected, Path), (argument, value)
            checked += 1
    assert checked or hint in (torch.Tensor, CompositionStages, LoadedArtifact, PictureSize), argument


def test_rows_of_latents_are_points(calls: dict[str, dict[str, Any]]) -> None:
    scene: LoadedArtifact = calls["mix"]["artifact"]
    z = scene.latents([1, 2])
    for points in (z, list(z), z.double(), torch.tensor([1, 2])):
        assert torch.equal(mitlgan.interpolate(scene, points, frames=3), mitlgan.interpolate(scene, [1, 2], frames=3))  # type: ignore[arg-type]
    half = mitlgan.interpolate(scene, [1, 2], frames=3, truncation=0.5)
    for truncation in (torch.tensor(0.5), np.array(0.5), Fraction(1, 2)):
        assert torch.equal(mitlgan.interpolate(scene, list(z), frames=3, truncation=truncation), half)  # type: ignore[arg-type]


def test_devices_of_torch_are_devices(calls: dict[str, dict[str, Any]], packs: dict[str, Path], tmp_path: Path) -> None:
    cpu = torch.device("cpu")
    fg = calls["load"]["path"]
    assert torch.equal(mitlgan.load(fg, cpu).sample([0]), mitlgan.load(fg, "cpu").sample([0]))
    assert mitlgan.load(fg, "cpu:0").device == torch.device("cpu:0")
    (tmp_path / "photographs").mkdir()
    file = tmp_path / "photographs" / "recipe.toml"
    file.write_text(to_toml(tiny_runs.recipe("bg", packs["bg"])))
    settings = {"training.batch": np.int64(4), "training.kimg": np.float64(0.008), "critic.widths": np.array([8, 16]), "data.source": packs["bg"]}
    result = mitlgan.pretrain("bg", recipe=file, settings=settings, out=file.parent, device=cpu, quiet=True)
    assert result.load(cpu).sample([0]).shape == (1, 3, 8, 8)
    recipe = read_card(result.artifact).recipe
    assert (recipe["training"]["batch"], recipe["critic"]["widths"], recipe["data"]["source"]) == (4, [8, 16], str(packs["bg"]))


@pytest.mark.parametrize("value", [*(value for value, number in FORMS[float] if number == 0.5), np.longdouble(0.5)], ids=str)
def test_settings_take_every_number_that_arguments_take(value: Any) -> None:
    for settings in ({"training.kimg": value, "training.keep_kimg": [value]}, {"training": {"kimg": value, "keep_kimg": (value,)}}):
        training = resolve_recipe("recommended/fg-32", None, settings, None).training
        assert (training.kimg, training.keep_kimg) == (0.5, (0.5,))
        assert type(training.kimg) is float


def test_other_steps_of_a_ladder_bring_their_own_length() -> None:
    """The recipe's file says no length: it is that of its steps, and so it is with steps from settings."""
    name = "classic/progressive-64"
    before = resolve_recipe(name, None, None, None)
    assert before.grow is not None
    steps = [as_dict(step) | {"kimg": 0.25 * (index + 1)} for index, step in enumerate(before.grow)]
    total = sum(step["kimg"] for step in steps)
    for settings in ({"grow": steps}, {"grow": tuple(steps), "training.batch": 8}, {"grow": steps, "training.kimg": total}):
        recipe = resolve_recipe(name, None, settings, None)
        assert recipe.training.kimg == pytest.approx(total)
        assert recipe.grow is not None
        assert [step.kimg for step in recipe.grow] == [step["kimg"] for step in steps]
    for settings, told in (({"grow": steps, "training.kimg": 5}, 5), ({"training.kimg": 5}, 5)):
        with pytest.raises(UsageError, match=rf"training\.kimg is {told}, but the steps of \[\[grow\]\] have .* make it as many, or change grow$"):
            resolve_recipe(name, None, settings, None)


@pytest.mark.parametrize(("call", "message"), [
    (lambda scene: mitlgan.compose({"fg": scene, "bg": "x"}, "demo"), "layers, fg: LoadedArtifact is not a text or a path"),
    (lambda _: mitlgan.compose({"bg": "", "fg": "x"}, "demo"), "layers, bg: is empty; give a value, or leave it out"),
    (lambda _: mitlgan.evaluate("x", extractors=["a", ""]), "extractors[1]: is empty; give a value, or leave it out"),
    (lambda scene: mitlgan.interpolate(scene, [1.5, 2]), "points[0]: 1.5 is not a whole number, a dict, a text, a path or a Tensor"),
    (lambda scene: mitlgan.interpolate(scene, [1, {"fg": 1.5}]), "points[1], fg: 1.5 is not a whole number"),
    (lambda scene: mitlgan.mix(scene, 1, 2, weight={"fg": "0.5"}), "weight, fg: '0.5' is not a number"),
    (lambda scene: mitlgan.mix(scene, 1, 2, weight={"fg": 10**400}), "weight, fg: is too large a number"),
    (lambda _: mitlgan.pretrain("fg", "demo", settings={1: 2}), "settings, key 1: 1 is not a text"),
    (lambda _: mitlgan.pretrain("fg", "demo", settings={"training.kimg": {1}}),
     "settings, training.kimg: set is not a number, a text, True or False, a list, a dict or None"),
    (lambda _: mitlgan.pretrain("fg", "demo", settings={"training.kimg": Fraction(10**400)}), "settings, training.kimg: is too large a number"),
    (lambda _: mitlgan.pretrain("fg", "demo", settings={"training": {"kimg": Decimal("sNaN")}}), "settings, training.kimg: Decimal is not a number"),
])  # fmt: skip
def test_a_wrong_element_is_named_by_its_place(call: Callable[[Any], Any], message: str, calls: dict[str, dict[str, Any]]) -> None:
    with pytest.raises(UsageError) as refused:
        call(calls["mix"]["artifact"])
    assert str(refused.value) == message


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_bytes_are_shown_as_the_floats_that_they_stand_for(channels: int) -> None:
    pixels = torch.randint(0, 256, (2, channels, 8, 8), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    pixels[:, :3] = pixels[:, :3].minimum(pixels[:, 3:]) if channels == 4 else pixels[:, :3]
    floats = to_float(pixels)
    for given in (pixels, floats.double()):
        assert mitlgan.grid(given) == mitlgan.grid(floats)
        assert mitlgan.animate(given, ".PNG", scale=2) == mitlgan.animate(floats, "png", scale=2)
    picture = torch.from_numpy(np.array(Image.open(io.BytesIO(mitlgan.animate(pixels, "png"))).convert("RGB"))).permute(2, 0, 1)
    on_white = pixels[0, :3].int() + (255 - pixels[0, 3:].int() if channels == 4 else 0)
    assert torch.equal(picture.int(), on_white.expand(3, -1, -1))


@pytest.mark.parametrize("stage", ["output", "fused", "matte", "layers"])
def test_every_stage_of_a_sheet_is_checked(stage: str) -> None:
    stages = mitlgan.load("pretrained/modern-32").layers([0])
    value = getattr(stages, stage)
    for broken in (lambda image: to_uint8(image), lambda image: image > 0, lambda image: image + NAN, lambda image: image + 255):
        other = {name: broken(image) for name, image in value.items()} if isinstance(value, dict) else broken(value)
        with pytest.raises(UsageError, match=r"^stages: "):
            mitlgan.sheet(dataclasses.replace(stages, **{stage: other}))


def test_numbers_of_other_libraries_are_numbers(calls: dict[str, dict[str, Any]]) -> None:
    assert mitlgan.grid(IMAGES, columns=np.int64(2)) == mitlgan.grid(IMAGES, columns=2)
    assert mitlgan.animate(IMAGES, ".webp", fps=np.float32(12)) == mitlgan.animate(IMAGES, "webp", fps=12)
    scene: LoadedArtifact = calls["mix"]["artifact"]
    assert torch.equal(mitlgan.interpolate(scene, np.arange(2), frames=2), mitlgan.interpolate(scene, range(2), frames=2))  # type: ignore[arg-type]
    for channels in (1, 3, 4):
        assert mitlgan.animate(torch.zeros(2, channels, 8, 8))[8:12] == b"WEBP"
        assert mitlgan.grid(torch.zeros(2, channels, 8, 8))[1:4] == b"PNG"


@pytest.mark.parametrize(
    "seeds",
    [
        None,
        5,
        np.int64(5),
        np.array(5),
        torch.tensor(5),
        np.zeros((1, 2), int),
        b"12",
        "12",
        [True],
        [1.5],
        [-1],
        [],
        {"fg": 3},
        {"fg": [0], "bg": [0, 1]},
        {"sky": [0]},
    ],
)
def test_seeds_that_are_none(seeds: Any, calls: dict[str, dict[str, Any]]) -> None:
    for method in (calls["mix"]["artifact"].sample, calls["mix"]["artifact"].layers):
        with pytest.raises(UsageError, match=r"^seed"):
            method(seeds)


@pytest.mark.parametrize("seeds", [(0, 1), range(2), np.arange(2), torch.arange(2), (seed for seed in (0, 1)), {0: 1, 1: 1}.keys(), [np.array(0), 1]])
def test_seeds_of_many_forms(seeds: Any, calls: dict[str, dict[str, Any]]) -> None:
    scene: LoadedArtifact = calls["mix"]["artifact"]
    by_layer = {"fg": [0, 1], "bg": (seed for seed in (0, 1))}
    expected = scene.sample([0, 1])
    assert torch.equal(scene.sample(seeds), expected)
    assert torch.equal(scene.sample(by_layer), expected)  # type: ignore[arg-type]


def test_transforms_of_many_forms() -> None:
    scene = mitlgan.load("pretrained/modern-32")
    expected = scene.sample([0], {"fg": (0.5, 0.25, 0.0, True)})
    numbers = (0.5, 0.25, 0.0, 1.0)
    mirrored: list[Any] = [True, 1, np.bool_(True), np.array(True), torch.tensor(True)]
    forms: list[Any] = [(*numbers[:3], flag) for flag in mirrored] + [list(numbers), np.array(numbers), torch.tensor(numbers)]
    for form in [*forms, tuple(np.float32(number) for number in numbers), LayerTransform(*(torch.tensor([value]) for value in (0.5, 0.25, 0.0, -1.0)))]:
        assert torch.equal(scene.sample([0], {"fg": form}), expected), form
    for other in (
        [1],
        "fg",
        {"fg": "abc"},
        {"fg": (0.5, 0)},
        {"fg": (0.5, 0, 0, "no")},
        {"fg": (NAN, 0, 0)},
        {"fg": LayerTransform(0.5, 0.0, 0.0, 1.0)},
    ):  # type: ignore[arg-type]
        with pytest.raises(UsageError, match=r"^transforms: "):
            scene.sample([0], other)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8])
def test_strengths_of_every_type_of_number(kind: torch.dtype) -> None:
    scene = mitlgan.load("pretrained/modern-32")
    z = scene.latents([0, 1])
    strengths = [torch.tensor([0.5, 1.0]).to(kind), torch.ones(2, dtype=kind)]
    for each in (strengths, strengths[::-1]):
        expected = scene.layers_from_latents(z, None, EffectStrengths(*(values.float() for values in each)))
        assert torch.equal(scene.layers_from_latents(z, None, EffectStrengths(*each)).output, expected.output)


def test_latents_that_are_none(calls: dict[str, dict[str, Any]]) -> None:
    scene: LoadedArtifact = calls["mix"]["artifact"]
    for z in (
        None,
        torch.zeros(2, 3),
        torch.zeros(5),
        torch.zeros(1, 5).bool(),
        torch.zeros(1, 5) + 0j,
        torch.zeros(1, 5).double() + 1e300,
        torch.full((1, 5), NAN),
        torch.tensor([[0, 0, 0, 0, math.inf]]),
    ):
        for method in (scene.images_from_latents, scene.layers_from_latents):
            with pytest.raises(UsageError, match=r"^latents: "):
                method(z)  # type: ignore[arg-type]
        if isinstance(z, torch.Tensor) and z.shape == (1, 5):
            for features in (None, 1):
                with pytest.raises(UsageError, match=r"^second: .*; give (floats|numbers)$"):
                    mitlgan.mix(scene, 1, z[0], features=features)
    z = scene.latents([0, 1]).round()
    for other in (z.double(), z.half(), z.long()):
        assert torch.equal(scene.images_from_latents(other), scene.images_from_latents(z))
        assert torch.equal(mitlgan.mix(scene, other[0], other[1:]).stages.output, mitlgan.mix(scene, z[0], z[1]).stages.output)


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
    group: Any = parser()
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
