"""Places of objects that share the latent of the placement: each follows its own seed, and pictures of earlier versions come back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import mitlgan
from mitlgan.artifacts.loaded_artifact import LoadedArtifact, render_evenly
from mitlgan.artifacts.picture_record import parse_record, render_record
from mitlgan.artifacts.samples import samples_of_seeds
from mitlgan.editing import cross, to_latent
from mitlgan.latents import concat_layers, latents_from_seeds, read_latent, split_by_layer, write_latent
from mitlgan.metrics.layer_swap import SwapSpec, measure_separation
from mitlgan.networks import CompositionStages
from mitlgan.networks.placement import placement_parts
from mitlgan.recipe import shipped_folder

SEEDS = (3, 4, 5, 6)


@pytest.fixture(scope="module")
def three() -> LoadedArtifact:
    return mitlgan.load(shipped_folder("pretrained") / "three-32")


@pytest.fixture(scope="module", params=["modern-32", "thesis-narrow-32"])
def two(request: pytest.FixtureRequest) -> LoadedArtifact:
    return mitlgan.load(shipped_folder("pretrained") / request.param)


def place_of(artifact: LoadedArtifact, z: torch.Tensor) -> torch.Tensor:
    return split_by_layer(z, artifact.card.latent_dims)["place"]


def drawn(artifact: LoadedArtifact, seeds: list[int]) -> torch.Tensor:
    """The whole placements of seeds, as earlier versions drew them for all objects."""
    return latents_from_seeds({"place": seeds}, {"place": artifact.card.latent_dims["place"]})


def is_still(stages: CompositionStages, name: str) -> bool:
    """Whether an object has one shape in one place; its light follows the background."""
    matte = stages.placed[name][:, 3]
    return bool((matte == matte[:1]).all()) and all(bool((numbers == numbers[0]).all()) for numbers in stages.transforms[name])


@pytest.mark.parametrize(("locked", "moving"), [("far", "near"), ("near", "far")])
def test_a_locked_object_keeps_its_place_and_the_other_moves_as_it_would(three: LoadedArtifact, locked: str, moving: str) -> None:
    stages, free = three.layers(three.lock_seeds(SEEDS, {locked: 7})), three.layers(SEEDS)
    assert is_still(stages, locked)
    assert not is_still(stages, moving)
    for own, others in ((stages.transforms[locked], three.layers([7] * 4).transforms[locked]), (stages.transforms[moving], free.transforms[moving])):
        assert all(torch.equal(*pair) for pair in zip(own, others, strict=True))
    assert torch.equal(stages.placed[moving][:, 3], free.placed[moving][:, 3])
    everything = three.layers(three.lock_seeds(SEEDS, {locked: 7, "bg": 1, **({"far": 7} if locked == "near" else {})}))
    assert bool((everything.placed[locked] == everything.placed[locked][:1]).all())  # with what is behind it, in its light, too


@pytest.mark.parametrize("locks", [{}, {"bg": 9}, {"place": 2}, {"bg": 9, "place": 2}, {"far": 7, "place": 2}])
def test_one_place_for_all_is_drawn_as_before(three: LoadedArtifact, locks: dict[str, int]) -> None:
    """Where the objects' seeds agree, or the placement has its own."""
    z = three.latents(three.lock_seeds(SEEDS, locks))
    assert torch.equal(place_of(three, z), drawn(three, [locks.get("place", seed) for seed in SEEDS]))
    same = three.latents(dict.fromkeys(("bg", "far", "near"), SEEDS))
    assert torch.equal(same, three.latents(SEEDS))


def test_one_object_takes_the_place_of_its_seed_in_all_cases(two: LoadedArtifact) -> None:
    dims = two.card.latent_dims
    for seeds in (SEEDS, two.lock_seeds(SEEDS, {"fg": 7}), two.lock_seeds(SEEDS, {"bg": 7}), {"fg": SEEDS, "bg": SEEDS[::-1]}):
        by_layer = dict(seeds) if isinstance(seeds, dict) else dict.fromkeys(dims, seeds)
        by_layer |= {"place": by_layer["fg"]} if "place" in dims else {}
        assert torch.equal(two.latents(seeds), latents_from_seeds(by_layer, dims))


def test_points_and_crossings_keep_the_place_of_each_objects_seed(three: LoadedArtifact) -> None:
    parts = placement_parts(three.network.movable_layers)
    for point in ("bg=1,far=2,near=3", {"near": 3, "far": 2, "bg": 1}):
        place = place_of(three, to_latent(three, point))
        assert all(torch.equal(place[parts[name]], drawn(three, [seed])[0, parts[name]]) for name, seed in (("far", 2), ("near", 3)))
    table = cross(three, ("far", [5, 6]), ("near", [7, 8, 9]))
    for row, far in enumerate((5, 6)):
        for column, near in enumerate((7, 8, 9)):
            assert torch.equal(table[row * 3 + column], to_latent(three, {"bg": 0, "far": far, "near": near}))


@pytest.mark.parametrize("locks", [{}, {"far": 7}, {"near": 7}, {"bg": 7}, {"far": 7, "near": 7}, {"far": 7, "near": 8}, {"far": 7, "place": 1}])
def test_a_picture_of_locked_layers_is_made_again_from_its_record(three: LoadedArtifact, locks: dict[str, int]) -> None:
    samples = samples_of_seeds(three, SEEDS, locks, truncation=0.7)
    for index, record in enumerate(samples.records):
        again = render_record(three, parse_record(record.to_text(), "x"), "x")
        assert torch.equal(again.output[0], samples.stages.output[index])
        seeds = {locks.get(name, SEEDS[index]) for name in ("far", "near")}
        assert ("seed" in record.model_dump()["latents"]["place"]) == (len(seeds) == 1 or "place" in locks)  # the fewest words that say it


def test_records_and_latent_files_of_earlier_versions_give_their_pictures(three: LoadedArtifact, tmp_path: Path) -> None:
    """They name one seed for all places, that of the frontmost layer, or hold numbers."""
    z = concat_layers({**latents_by_seed(three, bg=3, far=7, near=4), "place": drawn(three, [4])}, three.card.latent_dims)
    seeds = '"bg":{"seed":3},"far":{"seed":7},"near":{"seed":4},"place":{"seed":4}'
    text = f'{{"schema_version":1,"made_by":"mitlgan 0.1.0","artifact":"{three.tensors_sha256}","latents":{{{seeds}}}}}'
    expected = render_evenly(three, z).output
    assert torch.equal(render_record(three, parse_record(text, "x"), "x").output, expected)
    write_latent(tmp_path / "z.json", z[0], three.card.latent_dims, three.tensors_sha256)
    assert torch.equal(read_latent(tmp_path / "z.json", three.card.latent_dims), z[0])
    assert torch.equal(three.latents({"bg": [3], "far": [7], "near": [4], "place": [4]}), z)


def latents_by_seed(artifact: LoadedArtifact, **seeds: int) -> dict[str, torch.Tensor]:
    return {name: latents_from_seeds({name: [seed]}, {name: artifact.card.latent_dims[name]}) for name, seed in seeds.items()}


def test_layers_between_do_not_change_in_a_swap(three: LoadedArtifact) -> None:
    """Neither their picture nor their place, when the frontmost is another one."""
    stages: list[CompositionStages] = []

    class Noting:
        def layers(self, seeds: dict[str, list[int]]) -> CompositionStages:
            stages.append(three.layers(seeds))
            return stages[-1]

    measure_separation(Noting(), foregrounds=3, backgrounds=2, swap=SwapSpec("near", "bg", ("far",), ("far",)))  # type: ignore[arg-type]
    assert is_still(stages[0], "far")
    assert not is_still(stages[0], "near")
