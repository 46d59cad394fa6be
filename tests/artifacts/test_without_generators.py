"""Compositions without their generators: the same to the bit where these lie beside them, one clear line where they do not, no path followed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import mitlgan
from mitlgan.artifacts.card import read_card, read_weights_hash
from mitlgan.artifacts.export import export_artifact
from mitlgan.artifacts.load_save import load_network, record_metrics, save_network
from mitlgan.artifacts.markdown_card import markdown_card
from mitlgan.artifacts.safetensors_io import read_header, read_tensors, write_tensors
from mitlgan.artifacts.summary import describe
from mitlgan.errors import ArtifactError, UsageError
from mitlgan.studio.catalogue import Catalogue
from mitlgan.studio.settings import StudioSettings
from mitlgan.training.run_directory import Run


@pytest.fixture
def house(tmp_path: Path, composed: Run, pretrained: dict[str, Run]) -> Path:
    """A folder of three: `scene`, without its generators, beside `fg` and `bg`."""
    for name, run in pretrained.items():
        assert run.artifact_file is not None
        (tmp_path / name).mkdir()
        shutil.copy(run.artifact_file, tmp_path / name)
    assert composed.artifact_file is not None
    export_artifact(mitlgan.load(composed.artifact_file), "slim", tmp_path / "scene" / "composer.safetensors")
    return tmp_path


@pytest.mark.parametrize("name", ["card.json", "times.json"])
@pytest.mark.parametrize("content", ['{"mine": 1}', "no JSON", '{"tensors_sha256": "0"}', None])
def test_no_neighbour_of_something_else_is_overwritten(house: Path, composed: Run, name: str, content: str | None) -> None:
    """Its card and its times lie next to it; those of the same composition may be there."""
    loaded, neighbour = mitlgan.load(whole(composed)), house / "scene" / name
    if content is None:
        before = neighbour.read_bytes()
        export_artifact(loaded, "slim", house / "scene" / "second.safetensors")
        assert neighbour.read_bytes() == before
        return
    neighbour.write_text(content)
    with pytest.raises(UsageError, match=f"{name} next to it is of something else and would be overwritten; name a file in a folder of its own"):
        export_artifact(loaded, "slim", house / "scene" / "second.safetensors")
    assert neighbour.read_text() == content
    assert not (house / "scene" / "second.safetensors").exists()


def whole(composed: Run) -> Path:
    assert composed.artifact_file is not None
    return composed.artifact_file


def refused(path: Path) -> str:
    with pytest.raises(ArtifactError) as caught:
        load_network(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.isprintable()
    return message


def test_it_holds_no_generator_and_gives_the_same_pictures(house: Path, composed: Run) -> None:
    path = house / "scene" / "composer.safetensors"
    tensors, header = read_tensors(path)
    assert tensors
    assert not [name for name in tensors if name.startswith("layers.")]
    assert path.stat().st_size < whole(composed).stat().st_size
    slim, full = mitlgan.load(path), mitlgan.load(whole(composed))
    assert torch.equal(slim.sample(range(5)), full.sample(range(5)))
    assert torch.equal(slim.layers([3]).layers["fg"], full.layers([3]).layers["fg"])
    assert slim.card.model_copy(update={"made_by": ""}) == full.card.model_copy(update={"made_by": ""})
    assert read_weights_hash(path) == read_weights_hash(whole(composed)) == slim.tensors_sha256 == header["whole_sha256"]
    assert json.loads((path.parent / "card.json").read_text())["tensors_sha256"] == slim.tensors_sha256


def test_everything_else_takes_it_alike(house: Path, composed: Run) -> None:
    path = house / "scene" / "composer.safetensors"
    assert describe(str(path))["total"] == describe(str(whole(composed)))["total"]
    assert markdown_card(mitlgan.load(path)).replace(str(path), "") == markdown_card(mitlgan.load(whole(composed))).replace(str(whole(composed)), "")
    record_metrics(path, {"fd": 12.5}, read_weights_hash(path))
    assert read_card(path).whole_sha256 is not None, "it stays slim"
    assert mitlgan.load(path).card.metrics == {"fd": 12.5}
    again = house / "again" / "composer.safetensors"
    again.parent.mkdir()
    loaded = mitlgan.load(path)
    save_network(again, loaded.network, loaded.card)
    assert read_tensors(again)[0].keys() == read_tensors(whole(composed))[0].keys(), "what is saved anew holds everything"


def test_generators_may_lie_in_its_own_folder(house: Path, composed: Run) -> None:
    alone = house / "elsewhere" / "deep"
    alone.mkdir(parents=True)
    shutil.copy(house / "scene" / "composer.safetensors", alone)
    for name in ("fg", "bg"):
        shutil.copy(house / name / "generator.safetensors", alone / f"{name}.safetensors")
    assert torch.equal(mitlgan.load(alone / "composer.safetensors").sample([1]), mitlgan.load(whole(composed)).sample([1]))


def test_without_its_generators_it_says_which_is_missing(house: Path) -> None:
    path, digest = house / "scene" / "composer.safetensors", read_weights_hash(house / "bg" / "generator.safetensors")
    (house / "bg" / "generator.safetensors").unlink()
    message = refused(path)
    assert "does not hold its generator 'bg'" in message
    assert digest in message
    (house / "bg" / "generator.safetensors").mkdir()  # not even a file
    assert refused(path) == message
    catalogue = Catalogue(StudioSettings(runs=house, artifacts=(house,)))
    assert [answer.name for answer in catalogue.refresh()] == ["fg"]


def test_a_generator_that_only_says_it_is_the_one_is_not_taken(house: Path) -> None:
    path, there = house / "scene" / "composer.safetensors", house / "fg" / "generator.safetensors"
    tensors, header = read_tensors(there)
    there.write_bytes(there.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(ArtifactError, match="do not match their SHA-256"):
        load_network(path)
    write_tensors(there, {name: tensor + 1 for name, tensor in tensors.items()}, header)
    assert "generator 'fg'" in refused(path)


def test_cards_that_lie_are_refused(house: Path) -> None:
    path = house / "scene" / "composer.safetensors"
    tensors, header = read_tensors(path)

    def changed(**values: Any) -> Path:
        write_tensors(path, tensors, {**header, **values})
        return path

    layers = header["layers"]
    swapped = {**layers, "fg": {**layers["fg"], "sha256_after": layers["bg"]["sha256_after"]}}
    assert "SHA-256" in refused(changed(layers=swapped))
    for hash_ in ("../../bg", "\x1b[31m\n", "x" * 10**5, ""):
        assert "generator 'fg'" in refused(changed(layers={**layers, "fg": {**layers["fg"], "sha256_after": hash_}}))
    assert "whole_sha256" in refused(changed(whole_sha256="../../etc"))
    assert "do not match" in refused(changed(whole_sha256="0" * 64))
    assert "is missing" in refused(changed(whole_sha256=None))


def test_what_cannot_be_found_again_is_not_left_out(tmp_path: Path, composed: Run, artifacts: dict[str, Path]) -> None:
    with pytest.raises(ArtifactError, match="does not hold its generator 'fg'"):
        export_artifact(mitlgan.load(whole(composed)), "slim", tmp_path / "scene" / "composer.safetensors")
    with pytest.raises(UsageError, match=r"^to: slim is for compositions; a generator has no frozen generators to leave out$"):
        export_artifact(mitlgan.load(artifacts["fg"]), "slim", tmp_path / "x.safetensors")
    assert not list(tmp_path.iterdir())


def test_artifacts_that_hold_everything_say_nothing_of_it(composed: Run) -> None:
    assert "whole_sha256" not in read_header(whole(composed))
