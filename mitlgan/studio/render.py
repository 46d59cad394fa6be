"""Rendering of states: the same picture to the bit wherever it is displayed. Work is done in small batches, between which it can be cancelled."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor

from mitlgan.latents import EASINGS, interpolate_latents, interpolate_path, latents_from_seeds, truncate
from mitlgan.networks import PLACEMENT_LATENT, CompositionStages, EffectStrengths, LayerTransform
from mitlgan.studio.catalogue import ActiveArtifact
from mitlgan.studio.encoding import shortest_floats
from mitlgan.studio.errors import RequestRefused
from mitlgan.studio.schemas import GridRequest, Latent, MixLatent, MorphRequest, SeedLatent, State, TransformState, ValuesLatent

ALL = "all"
HALFWAY = 0.5
RENDER_BATCH = 4
"""Pictures per batch, always this many: convolutions sum in another order in batches of another size, and a picture in a grid would differ by rounding
from the same one downloaded alone. Padding costs a single picture 20 ms; sixteen pictures take half as long as one by one."""
Check = Callable[[], None]


class RenderInput(NamedTuple):
    """Everything that determines a picture.

    Attributes:
        z: (sum of the layers' lengths,).
        stand: Transform of the frontmost layer; None: the one of its latent.
        matte: Factor of its opacity.
        harmonise: Share of harmonization and correction.
    """

    z: Tensor
    stand: TransformState | None
    matte: float
    harmonise: float


def render_input(loaded: ActiveArtifact, state: State) -> RenderInput:
    """Return what determines the picture of a state.

    Raises:
        RequestRefused: 422, the artifact does not support the state.
    """
    _check_supported(loaded, state)
    dims = loaded.artifact.card.latent_dims
    parts = [_latent(_layer_latent(loaded, state, name), name, dim) for name, dim in dims.items()]
    parts = list(torch.split(truncate(torch.cat(parts), state.truncation), list(dims.values())))
    for name, amounts in state.directions.items():
        index = list(dims).index(name)
        vectors = loaded.directions(name).vectors[: len(amounts)]
        parts[index] = parts[index] + torch.tensor(amounts, dtype=torch.float32) @ vectors
    return RenderInput(torch.cat(parts), state.stand, state.matte_strength, state.harmonise)


def render_stages(loaded: ActiveArtifact, inputs: Sequence[RenderInput], check: Check) -> Iterator[CompositionStages]:
    """Yield every stage of each picture, one image each; `check` is called between batches and may end the work by raising."""
    for has_stand, members in groupby(inputs, key=lambda one: one.stand is not None):
        group = list(members)
        for start in range(0, len(group), RENDER_BATCH):
            check()
            batch = group[start : start + RENDER_BATCH]
            padded = [*batch, *batch[-1:] * (RENDER_BATCH - len(batch))]
            stages = _stages(loaded, padded, has_stand)
            yield from (stages[index] for index in range(len(batch)))


def _stages(loaded: ActiveArtifact, inputs: Sequence[RenderInput], has_stand: bool) -> CompositionStages:
    transforms: dict[str, LayerTransform] = {}
    if has_stand and loaded.composer is not None:
        transforms[loaded.composer.frontmost_layer] = transform_tensor([one.stand or TransformState() for one in inputs])
    is_unchanged = all(one.matte == 1 and one.harmonise == 1 for one in inputs)
    strengths = None if is_unchanged else EffectStrengths(*torch.tensor([(one.matte, one.harmonise) for one in inputs], dtype=torch.float32).unbind(1))
    return loaded.artifact.layers_from_latents(torch.stack([one.z for one in inputs]), transforms, strengths)


def transform_tensor(transforms: Sequence[TransformState]) -> LayerTransform:
    """Return transforms as networks take them, one per picture."""
    rows = [(transform.scale, transform.across, transform.down, -1.0 if transform.flip else 1.0) for transform in transforms]
    return LayerTransform(*torch.tensor(rows).unbind(1))


def render_state(loaded: ActiveArtifact, state: State) -> CompositionStages:
    """Return every stage of a state's picture, one image each.

    Raises:
        RequestRefused: See `render_input`.
    """
    return _render_one(loaded, render_input(loaded, state))


def _render_one(loaded: ActiveArtifact, one: RenderInput) -> CompositionStages:
    return next(render_stages(loaded, [one], lambda: None))


def grid_states(loaded: ActiveArtifact, request: GridRequest, max_pictures: int) -> list[State]:
    """Return the states of a grid, row by row.

    Where places vary together with some of the objects, in order, the objects that do not vary keep theirs.

    Raises:
        RequestRefused: 422, unknown latents, seeds that do not match, or more than `max_pictures` pictures.
    """
    names = list(request.vary)
    if request.rows is not None or request.columns is not None:
        if request.rows is None or request.columns is None or {request.rows, request.columns} != set(names) or len(names) != 2:
            raise RequestRefused(422, "rows, columns: name two different latents, both with seeds in vary and no others")
        pairs = [(row, column) for row in request.vary[request.rows] for column in request.vary[request.columns]]
        grid = [{request.rows: row, request.columns: column} for row, column in pairs]
    else:
        counts = {len(seeds) for seeds in request.vary.values()}
        if len(counts) > 1:
            raise RequestRefused(422, "vary: every latent needs as many seeds as the others")
        grid = [{name: request.vary[name][index] for name in names} for index in range(counts.pop())]
    if len(grid) > max_pictures:
        raise RequestRefused(422, f"vary: {len(grid)} pictures are too many; ask for at most {max_pictures}")
    for name in names:
        _check_latent(loaded, name, "vary")
    kept = _kept_objects(loaded, request)
    return [_varied(loaded, request.state, {name: SeedLatent(seed=seed) for name, seed in seeds.items()}, kept) for seeds in grid]


def _kept_objects(loaded: ActiveArtifact, request: GridRequest) -> set[str]:
    movable = set() if loaded.composer is None else set(loaded.composer.movable_layers)
    places_vary = PLACEMENT_LATENT in request.vary and request.rows is None and not movable.isdisjoint(request.vary)
    return movable - set(request.vary) if places_vary else set()


def _varied(loaded: ActiveArtifact, state: State, latents: Mapping[str, SeedLatent], kept: Collection[str]) -> State:
    """Return a state with other latents, in which objects that are kept have their places, too."""
    new: dict[str, Latent] = {**state.latents, **latents}
    if kept and loaded.composer is not None:
        own, other = _layer_latent(loaded, state, PLACEMENT_LATENT), latents[PLACEMENT_LATENT]
        new[PLACEMENT_LATENT] = _joined_places(loaded, {name: own if name in kept else other for name in loaded.composer.movable_layers})
    return state.model_copy(update={"latents": new})


def morph_inputs(loaded: ActiveArtifact, request: MorphRequest) -> list[RenderInput]:
    """Return what determines the frames of a morph; first and last equal the two states to the bit.

    Raises:
        RequestRefused: 422, two different artifacts, an unknown layer, or what `render_input` refuses.
    """
    if request.start.artifact != request.end.artifact:
        raise RequestRefused(422, "to: is another artifact's picture; morph two of the same artifact")
    if request.layer != ALL:
        _check_latent(loaded, request.layer, "layer")
    start, end = render_input(loaded, request.start), render_input(loaded, request.end)
    layers = None if request.layer == ALL else [request.layer]
    z, _ = interpolate_path(torch.stack([start.z, end.z]), request.frames, loaded.artifact.card.latent_dims, layers=layers, easing=request.easing)
    pace = EASINGS[request.easing].pace
    shares = [pace(index / (request.frames - 1)) for index in range(request.frames)]
    moves_front = request.layer in (ALL, None if loaded.composer is None else loaded.composer.frontmost_layer)
    stands = _stands(loaded, start, end, shares) if moves_front and start.stand != end.stand else [start.stand] * request.frames
    mattes = [lerp(start.matte, end.matte, share) if moves_front else start.matte for share in shares]
    harmonised = [lerp(start.harmonise, end.harmonise, share) if request.layer == ALL else start.harmonise for share in shares]
    return [RenderInput(*numbers) for numbers in zip(z, stands, mattes, harmonised, strict=True)]


def fill_in_latents(loaded: ActiveArtifact, state: State) -> State:
    """Return the state with every latent filled in, a placement that follows the objects as well.

    A latent that is left out has its meaning only with the others of its state, so a state that is stored or combined with another one names all.
    """
    latents = {name: _layer_latent(loaded, state, name) for name in loaded.artifact.card.latent_dims}
    return state.model_copy(update={"latents": latents})


def _layer_latent(loaded: ActiveArtifact, state: State, name: str) -> SeedLatent | ValuesLatent | MixLatent:
    if name not in state.latents and name == PLACEMENT_LATENT and loaded.composer is not None:
        followed = {each: _seeds_render_one(state.latents.get(each, SeedLatent(seed=0))) for each in loaded.composer.movable_layers}
        first, *others = followed.values()
        return first if all(other == first for other in others) else _joined_places(loaded, followed)
    return state.latents.get(name, SeedLatent(seed=0))


def _joined_places(loaded: ActiveArtifact, places: Mapping[str, Latent]) -> ValuesLatent:
    """Return the placement in which each object stands where its own latent of the placement puts it."""
    assert loaded.composer is not None
    dim = loaded.artifact.card.latent_dims[PLACEMENT_LATENT]
    joined = loaded.composer.join_places({name: _latent(latent, PLACEMENT_LATENT, dim) for name, latent in places.items()})
    return ValuesLatent(values=shortest_floats({PLACEMENT_LATENT: joined})[PLACEMENT_LATENT])


def _seeds_render_one(latent: SeedLatent | ValuesLatent | MixLatent) -> SeedLatent | ValuesLatent | MixLatent:
    """Return a latent's seeds, which the placement follows; numbers become seed 0."""
    if isinstance(latent, MixLatent):
        return MixLatent(mix=(_seeds_render_one(latent.mix[0]), _seeds_render_one(latent.mix[1]), latent.mix[2]))
    return latent if isinstance(latent, SeedLatent) else SeedLatent(seed=0)


def _latent(latent: SeedLatent | ValuesLatent | MixLatent, name: str, dim: int) -> Tensor:
    """Return the latent (dim,) of one layer."""
    if isinstance(latent, SeedLatent):
        return latents_from_seeds({name: [latent.seed]}, {name: dim})[0]
    if isinstance(latent, ValuesLatent):
        if len(latent.values) != dim:
            raise RequestRefused(422, f"latents.{name}.values: has {len(latent.values)} numbers; this artifact takes {dim}")
        return torch.tensor(latent.values, dtype=torch.float32)
    first, second = (_latent(parent, name, dim) for parent in latent.mix[:2])
    return interpolate_latents(first, second, {name: [latent.mix[2]]}, {name: dim})[0]


def _check_supported(loaded: ActiveArtifact, state: State) -> None:
    for name in state.latents:
        _check_latent(loaded, name, "latents")
    for name, amounts in state.directions.items():
        _check_latent(loaded, name, "directions")
        if len(amounts) > loaded.direction_counts.get(name, 0):
            raise RequestRefused(422, f"directions.{name}: this artifact has {loaded.direction_counts.get(name, 0)} of them; leave the others out")
    movable = () if loaded.composer is None else loaded.composer.movable_layers
    if state.stand is not None and not movable:
        raise RequestRefused(422, "stand: nothing can be moved in this artifact; choose a composition by mattes, or leave it out")
    if state.matte_strength != 1 and not movable:
        raise RequestRefused(422, "matte_strength: this artifact has no matte; choose a composition by mattes, or leave it at 1")
    if state.harmonise != 1 and not (loaded.composer is not None and loaded.composer.can_scale_harmonization):
        raise RequestRefused(422, "harmonise: this artifact cannot harmonise in part; leave it at 1")


def _check_latent(loaded: ActiveArtifact, name: str, option: str) -> None:
    dims = loaded.artifact.card.latent_dims
    if name not in dims:
        raise RequestRefused(422, f"{option}: this artifact has no latent of that name; choose from {', '.join(dims)}")


def _stands(loaded: ActiveArtifact, start: RenderInput, end: RenderInput, shares: list[float]) -> list[TransformState | None]:
    """Interpolate the transform of the frontmost layer; it flips halfway."""
    first, last = transform_of(loaded, start), transform_of(loaded, end)
    middle = [
        TransformState(
            scale=lerp(first.scale, last.scale, share),
            across=lerp(first.across, last.across, share),
            down=lerp(first.down, last.down, share),
            flip=(first if share < HALFWAY else last).flip,
        )
        for share in shares[1:-1]
    ]
    return [start.stand, *middle, end.stand]


def transform_of(loaded: ActiveArtifact, one: RenderInput) -> TransformState:
    """Return the transform of a picture's frontmost layer, from the state or from its latent."""
    return one.stand or front_transform(loaded, _render_one(loaded, one)) or TransformState()


def front_transform(loaded: ActiveArtifact, stages: CompositionStages) -> TransformState | None:
    """Return the transform of the frontmost layer in a picture's stages; None if it cannot be moved."""
    composer = loaded.composer
    if composer is None or not composer.movable_layers:
        return None
    if composer.frontmost_layer not in stages.transforms:
        return TransformState()
    scale, across, down, mirror = (float(number) for number in stages.transforms[composer.frontmost_layer])
    return TransformState.model_construct(scale=scale, across=across, down=down, flip=mirror < 0)


def lerp(first: float, second: float, share: float) -> float:
    """Return a number between two; exactly these at shares of 0 and 1."""
    return first if share == 0 else second if share == 1 else (1 - share) * first + share * second
