"""Moving through latents: exact ends, held layers, children, crossings."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.editing import cross, directions, interpolate, interpolation, mix, parse_latent, to_latent
from mitlgan.editing.interpolation import plan_path
from mitlgan.editing.latent_mix import _mixed_after, generators_of, stage_index
from mitlgan.errors import ArtifactError, UsageError
from mitlgan.images.pixels import to_uint8
from mitlgan.latents import latents_from_seeds, split_by_layer, write_latent


@pytest.fixture(params=["fg", "scene", "placed"])
def each(request: pytest.FixtureRequest) -> LoadedArtifact:
    """Each kind of artifact."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, LoadedArtifact)
    return found


def alone(artifact: LoadedArtifact, z: torch.Tensor) -> torch.Tensor:
    """The picture of one latent, by itself."""
    return artifact.images_from_latents(z[None])[0]


def test_a_point_is_a_seed_seeds_by_layer_a_tensor_or_a_file(scene: LoadedArtifact, tmp_path: Path) -> None:
    dims = scene.card.latent_dims
    seven = latents_from_seeds([7], dims)[0]
    path = tmp_path / "latent.json"
    write_latent(path, seven, dims, scene.tensors_sha256)
    for given in (7, {"fg": 7, "bg": 7}, seven, path, str(path), "7", "bg=7,fg=7"):
        assert torch.equal(to_latent(scene, given), seven)
    assert torch.equal(parse_latent(scene, "fg=1,bg=2", "--at"), latents_from_seeds({"fg": [1], "bg": [2]}, dims)[0])


def test_an_object_brings_its_place(placed: LoadedArtifact) -> None:
    own = split_by_layer(to_latent(placed, "fg=5,bg=1"), placed.card.latent_dims)["place"]
    assert torch.equal(own, split_by_layer(to_latent(placed, 5), placed.card.latent_dims)["place"])


@pytest.mark.parametrize(("text", "message"), [
    ("x.json", "--at x.json: give a seed, such as 7, one for each layer, such as fg=7,bg=8, or a latent file"), ("", "--at : give a seed"),
    ("-1", "--at -1: give a seed"), ("fg=1", "--at fg=1: seeds: none given for bg; give some for each of fg, bg"),
    ("fg=1,fg=2,bg=3", "--at fg=1,fg=2,bg=3: fg is given twice; give each layer one seed, such as fg=7,bg=8"),
    ("fg=1,bg=3,bg=3", "--at fg=1,bg=3,bg=3: bg is given twice"),
    ("9" * 5000, "must be a whole number from 0 to"), ("fg=x", "--at fg=x: give a seed"), ("x" * 5000, "give a seed"), ("a\0b", "give a seed"),
])  # fmt: skip
def test_points_that_cannot_be(text: str, message: str, scene: LoadedArtifact) -> None:
    with pytest.raises(UsageError, match=message):
        parse_latent(scene, text, "--at")
    with pytest.raises(UsageError, match="latent: has 4 numbers, the artifact takes 5"):
        to_latent(scene, torch.zeros(4))


def test_a_latent_of_another_artifact_is_refused(fg: LoadedArtifact, scene: LoadedArtifact, tmp_path: Path) -> None:
    write_latent(tmp_path / "z.json", to_latent(scene, 1), scene.card.latent_dims, fg.tensors_sha256)
    with pytest.raises(ArtifactError, match="another artifact"):
        to_latent(scene, tmp_path / "z.json")


@pytest.mark.parametrize("easing", ["sine", "linear", "slerp"])
def test_end_points_are_the_pictures_of_their_latents_to_the_bit(each: LoadedArtifact, easing: str) -> None:
    points = [to_latent(each, seed) for seed in (1, 2, 3)]
    frames = interpolate(each, points, frames=40, easing=easing)
    assert len(frames) == 79, "more than one chunk"
    for at, point in zip((0, 39, 78), points, strict=True):
        assert torch.equal(frames[at], alone(each, point))
    assert torch.equal(to_uint8(frames[:1]), to_uint8(each.sample([1])))
    assert not torch.equal(frames[0], frames[20])


def test_ways_home(fg: LoadedArtifact) -> None:
    way = interpolate(fg, [1, 2], frames=4)
    there = interpolate(fg, [1, 2], frames=4, ping_pong=True)
    assert torch.equal(there, torch.cat([way, way[[2, 1]]])), "neither end twice"
    loop = interpolate(fg, [1, 2], frames=4, loop=True)
    assert len(loop) == 6
    assert torch.equal(loop[0], way[0])
    assert torch.equal(loop[3], way[3])
    with pytest.raises(UsageError, match=r"^--ping-pong: cannot be combined with --loop"):
        interpolate(fg, [1, 2], loop=True, ping_pong=True)
    for frames in (10_001, 10**5000):
        with pytest.raises(UsageError, match=r"^--frames: .* is not a whole number from 2 to 10000$"):
            interpolate(fg, [1, 2], frames=frames)


@pytest.mark.parametrize("way", [{}, {"loop": True}, {"ping_pong": True}])
def test_as_many_frames_as_are_returned_count(way: dict[str, bool], fg: LoadedArtifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpolation, "MAX_FRAMES", 100_000)
    plans = {(points, frames): len(plan_path(fg, range(points), frames=frames, **way).order) for points in (2, 3, 4) for frames in range(2, 8)}
    monkeypatch.setattr(interpolation, "MAX_FRAMES", 12)
    assert {12, 13} & set(plans.values())
    for (points, frames), count in plans.items():
        if count <= 12:
            assert len(plan_path(fg, range(points), frames=frames, **way).order) == count
        else:
            with pytest.raises(UsageError, match=f"^frames: {frames} for each way are {count} in all, more than 12; give fewer$"):
                plan_path(fg, range(points), frames=frames, **way)


def test_one_layer_moves_and_the_others_stay(placed: LoadedArtifact) -> None:
    for moving, others in (("fg", ("bg",)), ("bg", ("fg",)), ("place", ("fg", "bg"))):
        points = [to_latent(placed, seed) for seed in (1, 2)]
        frames = interpolate(placed, points, frames=5, layers=[moving])
        end = split_by_layer(points[0].clone(), placed.card.latent_dims)
        end[moving] = split_by_layer(points[1], placed.card.latent_dims)[moving]
        stages = placed.layers_from_latents(torch.cat([end[name] for name in placed.card.latent_dims])[None])
        assert torch.equal(frames[-1], stages.output[0])
        assert not torch.equal(frames[0], frames[-1])
        for name in others:
            assert torch.equal(stages.layers[name], placed.layers([1]).layers[name])


def test_truncation_draws_ways_to_the_centre(fg: LoadedArtifact) -> None:
    frames = interpolate(fg, [1, 2], frames=3, truncation=0.0)
    assert torch.allclose(frames, fg.images_from_latents(torch.zeros(1, 3)).expand(3, -1, -1, -1), atol=1e-6)


def test_a_child_is_the_middle_of_the_way(each: LoadedArtifact) -> None:
    child = mix(each, 1, 2)
    assert child.z is not None
    assert torch.allclose(child.stages.output[0], interpolate(each, [1, 2], frames=3)[1], atol=1e-5)
    assert torch.equal(child.stages.output, each.images_from_latents(child.z[None]))


def test_weights_and_layers_choose_who_gives_what(scene: LoadedArtifact) -> None:
    """The foreground of one parent before the background of the other is an ordinary composition."""
    swapped = mix(scene, 1, 2, weight={"fg": 0.0, "bg": 1.0})
    assert torch.equal(swapped.stages.output, scene.sample({"fg": [1], "bg": [2]}))
    half = mix(scene, 1, 2, layers=["bg"])
    assert torch.equal(half.stages.layers["fg"], scene.layers([1]).layers["fg"])
    assert not torch.equal(half.stages.layers["bg"], scene.layers([1]).layers["bg"])
    for weight, parent in ((0, 1), (1, 2)):
        assert torch.equal(mix(scene, 1, 2, weight=weight).stages.output, scene.sample([parent]))
    with pytest.raises(UsageError, match=r"^weight: bg is not among the mixed layers \(fg\)$"):
        mix(scene, 1, 2, layers=["fg"], weight={"bg": 0.3})
    with pytest.raises(UsageError, match=r"^weight: there is no layer 'sky'"):
        mix(scene, 1, 2, weight={"sky": 0.3})


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_features_are_mixed_after_a_stage(fg: LoadedArtifact, share: float) -> None:
    generator = generators_of(fg)["fg"]
    a, b = fg.latents([1]), fg.latents([2])
    with torch.inference_mode():
        middle = (1 - share) * generator.stages[0](a) + share * generator.stages[0](b)
        expected = generator.stages[1:](middle)
    child = mix(fg, 1, 2, weight=share, features=1)
    assert child.z is None
    assert torch.allclose(child.stages.output, expected.clamp(-1, 1), atol=1e-5)
    assert torch.equal(child.stages.output, mix(fg, 1, 2, weight=share, features="base").stages.output)


def test_features_that_one_thread_mixes_leave_the_pictures_of_others(fg: LoadedArtifact) -> None:
    expected = fg.sample([1, 2])
    with _mixed_after(generators_of(fg), {"fg": 1}, {"fg": 0.5}), ThreadPoolExecutor(1) as other:
        assert torch.equal(other.submit(fg.sample, [1, 2]).result(), expected)
        assert not torch.equal(fg.sample([1, 2]), expected)


def test_results_can_be_changed_and_learned_from(fg: LoadedArtifact) -> None:
    vectors = directions(fg, by="features", samples=32, count=2).vectors
    for tensor in (mix(fg, 1, 2, features=1).stages.output, vectors, directions(fg).shares):
        weights = torch.ones_like(tensor, requires_grad=True)
        (weights * tensor).sum().backward()
        tensor.mul_(2)


def test_features_of_one_layer_leave_the_others_to_latents(placed: LoadedArtifact) -> None:
    child = mix(placed, 1, 2, features=1, weight={"bg": 0.0, "fg": 1.0, "place": 1.0})
    expected = placed.layers({"fg": [2], "bg": [1], "place": [2]})
    assert torch.allclose(child.stages.output, expected.output, atol=1e-5)
    half = mix(placed, 1, 2, features=1, layers=["fg"])
    assert torch.allclose(half.stages.layers["bg"], placed.layers([1]).layers["bg"], atol=1e-5)
    assert half.stages.placed["fg"].shape == (1, 4, 8, 8)
    assert len(half.stages.transforms["fg"].scale) == 1
    assert torch.equal(placed.sample([1]), placed.sample([1])), "no hook stays"
    assert not any(stage._forward_hooks for generator in generators_of(placed).values() for stage in generator.stages)
    with pytest.raises(UsageError, match=r"^features: no generator is behind place"):
        mix(placed, 1, 2, layers=["place"], features=1)


@pytest.mark.parametrize("wanted", [0, 2, "to_image", "x", -1, "9" * 5000, "²"])
def test_stages_that_cannot_be(wanted: int | str, fg: LoadedArtifact) -> None:
    with pytest.raises(UsageError, match=r"choose a stage before the image: 1 \(base\)$"):
        stage_index(generators_of(fg)["fg"], wanted, "features")


def test_a_crossing_is_every_row_with_every_column(placed: LoadedArtifact) -> None:
    images = placed.images_from_latents(cross(placed, ("fg", [3, 4]), ("bg", [7, 8, 9])))
    for row, first in enumerate((3, 4)):
        for column, second in enumerate((7, 8, 9)):
            assert torch.allclose(images[row * 3 + column], placed.sample({"fg": [first], "bg": [second]})[0], atol=1e-6)
    at = cross(placed, ("place", [1, 2]), ("bg", [5]), at=6)
    assert torch.equal(at, placed.latents({"fg": [6, 6], "bg": [5, 5], "place": [1, 2]}))
    assert torch.equal(cross(placed, ("place", [1, 2]), ("bg", [5]), at=6, truncation=0.5), at * 0.5)


def test_crossings_that_cannot_be(fg: LoadedArtifact, scene: LoadedArtifact) -> None:
    for rows, columns, message in (
        (("sky", [1]), ("bg", [1]), "^rows: there is no layer 'sky'"),
        (("fg", [1]), ("sky", [1]), "^columns: there is no layer 'sky'"),
        (("fg", [1]), ("fg", [1]), "^columns: fg is in the rows already; choose from bg$"),
        (("fg", []), ("bg", [1]), "^rows: no seeds"),
        (("fg", range(200)), ("bg", range(200)), "^rows: 200 x 200 pictures are more than 10000"),
    ):
        with pytest.raises(UsageError, match=message):
            cross(scene, rows, columns)
    with pytest.raises(UsageError, match="an artifact of one latent has none; use `mitlgan sample`"):
        cross(fg, ("fg", [1]), ("fg", [1]))
