"""The functions of `import mitlgan`: every example of their docstrings runs, and their results are those of the commands."""

from __future__ import annotations

import doctest
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import images, tiny_runs
from helpers.torch_modes import every_mode
from PIL import ImageDraw

import mitlgan
from mitlgan.api import measurements
from mitlgan.api.context import resolve_recipe
from mitlgan.artifacts.card import read_card, read_weights_hash
from mitlgan.artifacts.safetensors_io import read_tensors
from mitlgan.cli.options import recipe_from
from mitlgan.errors import ArtifactError, DataError, UsageError
from mitlgan.recipe import shipped_folder, to_toml
from mitlgan.stages.compose import compose
from mitlgan.stages.pretrain import pretrain
from mitlgan.training.checkpoint import list_checkpoints
from mitlgan.training.run_directory import Run, list_runs

FUNCTIONS = tuple(sorted(set(mitlgan.__all__) - {"__version__"}))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the shipped artifacts, and photographs of discs."""
    (tmp_path / "pretrained").symlink_to(shipped_folder("pretrained"))
    (tmp_path / "photographs").mkdir()
    for index in range(24):
        picture = images.smooth(index, (64, 64)).point(lambda value: value // 2)
        ImageDraw.Draw(picture).ellipse((12 + index // 2, 16, 36 + index // 2, 48), fill=(240, 200, 60 + index))
        picture.save(tmp_path / "photographs" / f"{index:02d}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


TRAINING = ("compare", "compose", "make", "pretrain")
"""Functions whose examples train for a while."""


def _function(name: str) -> Any:
    """The function itself: where its package was imported before, `mitlgan.compare` is that package, which can be called."""
    value = getattr(mitlgan, name)
    return value if inspect.isfunction(value) else measurements.compare


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) if name in TRAINING else name for name in FUNCTIONS])
def test_the_example_of_the_docstring_runs(name: str, folder: Path) -> None:
    if name == "split":
        pytest.importorskip("cv2")
    function = _function(name)
    (found,) = doctest.DocTestFinder(recurse=False).find(function, name, globs={})
    assert found.examples
    report: list[str] = []
    assert doctest.DocTestRunner().run(found, out=report.append).failed == 0, "".join(report)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_argument_is_typed_and_explained(name: str) -> None:
    function = _function(name)
    text, signature = inspect.getdoc(function) or "", inspect.signature(function)
    assert ("Args:" in text, "Raises:" in text, ">>> import mitlgan" in text) == (True, True, True)
    for parameter in signature.parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty
        assert f"    {parameter.name}: " in text, parameter.name
    assert signature.return_annotation is not inspect.Signature.empty


def test_import_is_fast_and_brings_no_torch() -> None:
    program = "import sys, mitlgan; print('torch' in sys.modules, 'pydantic' in sys.modules, 'compare' in dir(mitlgan))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "True"]


@pytest.mark.slow
def test_compare_is_called_whether_or_not_its_package_was_imported_before() -> None:
    program = """if True:
        import os, torch, pydantic  # once for the three
        for first in ("", "import mitlgan.compare.plan", "mitlgan.make"):
            if os.fork():
                assert os.wait()[1] == 0, first
                continue
            import mitlgan, mitlgan.errors
            exec(first)
            try:
                mitlgan.compare("absent", out="absent", quiet=True)
            except mitlgan.errors.MitlganError as error:
                print(error, flush=True)
            os._exit(0)
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert [line.startswith("absent: not a run directory") for line in done.stdout.splitlines()] == [True] * 3


def test_compare_shows_its_arguments_also_as_a_package() -> None:
    assert inspect.signature(sys.modules["mitlgan.compare"]) == inspect.signature(measurements.compare)  # type: ignore[arg-type]
    assert "mitlgan.api.measurements.compare" in (sys.modules["mitlgan.compare"].__doc__ or "")


def test_pretraining_gives_the_bytes_of_the_stage(packs: dict[str, Path], tmp_path: Path) -> None:
    recipe = tiny_runs.recipe("fg", packs["fg"])
    stage = pretrain(recipe, tiny_runs.run_context(tmp_path / "stage"))
    file = tmp_path / "recipe.toml"
    file.write_text(to_toml(recipe))
    random_state = torch.get_rng_state()
    with every_mode():
        result = mitlgan.pretrain("fg", packs["fg"], recipe=file, out=tmp_path / "runs", device="cpu", quiet=True)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert stage.artifact_file is not None
    assert read_weights_hash(result.artifact) == read_weights_hash(stage.artifact_file)
    assert (result.role, result.size_px, result.run) == ("fg", tiny_runs.SIZE_PX, result.artifact.parent)
    assert result.kimg == pytest.approx(recipe.training.kimg)
    assert result.seconds > 0
    again = mitlgan.pretrain("fg", packs["fg"], recipe=file, out=tmp_path / "runs", device="cpu", quiet=True, reuse=True)
    assert again.run == result.run
    assert mitlgan.pretrain("fg", packs["fg"], recipe=file, out=tmp_path / "runs", device="cpu", quiet=True).run != result.run
    other = mitlgan.pretrain("fg", packs["fg"], recipe=file, settings={"seed": 9}, out=tmp_path / "runs", device="cpu", quiet=True, reuse=True)
    assert other.run not in (result.run, again.run)


@pytest.mark.parametrize("key", ["data.source", "data__source", "data"])
def test_pictures_of_settings_are_those_of_data(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the recipe is read later."""
    monkeypatch.chdir(tmp_path)
    for source, expected in (("pics", str(tmp_path / "pics")), ("demo", "demo"), (Path("/pics"), "/pics")):
        value = {"source": source} if key == "data" else source
        assert resolve_recipe("thesis-32/pretrain_bg", None, {key: value}, None).data.source == expected
        assert resolve_recipe("thesis-32/pretrain_bg", source, None, None).data.source == expected


@pytest.mark.parametrize(("settings", "words"), [
    ({}, []), ({"data": {"resize": "box"}}, ['data={resize="box"}']), ({"data.mirror": True}, ["data.mirror=true"]),
    ({"data.source": "x"}, ["data.source=x"]), ({"data": {"source": "x"}}, ['data={source="x"}']), ({"data__source": Path("x")}, ["data.source=x"]),
])  # fmt: skip
@pytest.mark.parametrize("data", ["pics", "demo", None])
def test_data_and_settings_mean_what_the_options_of_the_command_mean(
    data: str | None, settings: dict[str, Any], words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table of settings does not put the demo in the place of the pictures that are named."""
    monkeypatch.chdir(tmp_path)
    of_command = recipe_from("thesis-32/pretrain_bg", "", data=data, seed=None, settings=words)
    assert resolve_recipe("thesis-32/pretrain_bg", data, settings, None) == of_command
    assert data is None or of_command.data.source == (data if data == "demo" else str(tmp_path / data))


def test_composition_gives_the_bytes_of_the_stage(packs: dict[str, Path], pretrained: dict[str, Run], tmp_path: Path) -> None:
    recipe = tiny_runs.recipe("scene", packs["scene"], compose=True)
    stage = compose(recipe, tiny_runs.layers(pretrained), tiny_runs.run_context(tmp_path / "stage"))
    file = tmp_path / "recipe.toml"
    file.write_text(to_toml(recipe))
    layers = {name: run.path for name, run in pretrained.items()}
    result = mitlgan.compose(layers, packs["scene"], recipe=file, out=tmp_path / "runs", device="cpu", quiet=True)
    assert stage.artifact_file is not None
    assert read_weights_hash(result.artifact) == read_weights_hash(stage.artifact_file)
    assert result.load("cpu").layers([0, 1]).output.shape == (2, 3, 8, 8)
    assert mitlgan.compose(layers, packs["scene"], recipe=file, out=tmp_path / "runs", device="cpu", quiet=True, reuse=True).run == result.run
    assert len(list_runs(tmp_path / "runs", "compose")) == 1


@pytest.mark.parametrize("reuse", [False, True])
def test_a_composition_begins_with_the_critic_that_is_named(
    packs: dict[str, Path], pretrained: dict[str, Run], tmp_path: Path, *, reuse: bool
) -> None:  # fmt: skip
    file, critic = tmp_path / "recipe.toml", pretrained["bg"].path
    file.write_text(to_toml(tiny_runs.recipe("scene", packs["scene"], compose=True, checkpoint_iterations=1, checkpoints_kept=9)))
    layers = {name: run.path for name, run in pretrained.items()}
    results = [
        mitlgan.compose(layers, packs["scene"], recipe=file, critic=critic, out=tmp_path / "runs", device="cpu", quiet=True, reuse=reuse)
        for _ in range(2)
    ]
    assert (results[0].run == results[1].run) == reuse
    kept, begun = (read_tensors(list_checkpoints(run)[index])[0] for run, index in ((critic, -1), (results[0].run, 0)))
    critics = [{name: tensor for name, tensor in tensors.items() if name.startswith("critic.")} for tensors in (kept, begun)]
    assert critics[0].keys() == critics[1].keys()
    assert all(torch.equal(tensor, critics[1][name]) for name, tensor in critics[0].items())


@pytest.mark.slow
def test_the_stages_follow_each_other_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny = {"training.kimg": 0.02}
    layers = {role: mitlgan.pretrain(role, "demo", settings=tiny, quiet=True, device="cpu") for role in ("fg", "bg")}  # type: ignore[arg-type]
    named = mitlgan.compose({role: layer.artifact for role, layer in layers.items()}, "demo", settings=tiny, quiet=True, device="cpu")
    found = mitlgan.compose(data="demo", settings=tiny, quiet=True, device="cpu")
    assert named.load("cpu").tensors_sha256 == found.load("cpu").tensors_sha256
    assert named.load("cpu").layers([0]).output.shape == (1, 3, 32, 32)


def test_evaluation_returns_numbers_and_writes_the_card_on_request(composed: Run, packs: dict[str, Path]) -> None:
    assert composed.artifact_file is not None
    result = mitlgan.evaluate(composed.path, packs["scene"], samples=12, device="cpu", quiet=True)
    assert result.metrics["kid"] == result.figures["kid"]["value"]
    assert (result.split, result.generated, result.real) == ("train", 12, 12)
    assert not read_card(composed.artifact_file).metrics


def test_mistakes_name_what_is_wrong(packs: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"recipe nonsense: no such file or shipped recipe"):
        mitlgan.pretrain("fg", recipe="nonsense", out=tmp_path)
    with pytest.raises(UsageError, match="is for `compose` of scene; give one for `pretrain fg`"):
        mitlgan.pretrain("fg", recipe="recommended/compose-32", out=tmp_path)
    with pytest.raises(UsageError, match=r"training\.kmig"):
        mitlgan.pretrain("fg", recipe="recommended/fg-32", settings={"training.kmig": 1}, out=tmp_path)
    with pytest.raises(UsageError, match="give one for `compose`"):
        mitlgan.compose(recipe="recommended/fg-32", out=tmp_path)
    with pytest.raises(DataError, match="absent"):
        mitlgan.pretrain("bg", tmp_path / "absent", recipe="recommended/bg-32", out=tmp_path, quiet=True)
    with pytest.raises(ArtifactError):
        mitlgan.evaluate(packs["fg"])
    assert not list(tmp_path.rglob("*.safetensors"))


def test_pictures_are_whole_files() -> None:
    frames = torch.rand(3, 3, 8, 8) * 2 - 1
    for extension, mark in (("gif", b"GIF8"), ("png", b"\x89PNG"), ("webp", b"RIFF")):
        assert mitlgan.animate(frames, extension, scale=2)[:4] == mark
    with pytest.raises(UsageError, match="fps"):
        mitlgan.animate(frames, fps=0)
    assert mitlgan.grid(frames, columns=3)[:4] == b"\x89PNG"


def test_settings_in_a_table_that_have_no_effect_are_refused(tmp_path: Path) -> None:
    settings = {"transfer": {"new_critic_first_kimg": 9.0, "freeze": 1}}
    with pytest.raises(UsageError, match=r"transfer\.new_critic_first_kimg: has no effect"):
        mitlgan.pretrain("fg", recipe="few/fg-32", start="pretrained/modern-fg-wide-32", settings=settings, out=tmp_path, quiet=True, reuse=True)
    assert not list(tmp_path.iterdir())
