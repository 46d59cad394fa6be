"""From a state to pictures, which are the same to the bit wherever they are shown; between a few and the next few the client can go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor

from mitlgan.latents import EASINGS, interpolate_latents, interpolate_path, latents_from_seeds, truncate
from mitlgan.networks import PLACEMENT_LATENT, CompositionStages, EffectStrengths, LayerTransform
from mitlgan.studio.catalogue import ActiveArtifact
from mitlgan.studio.errors import RequestRefused
from mitlgan.studio.schemas import GridRequest, MixLatent, MorphRequest, SeedLatent, State, TransformState, ValuesLatent

ALL = "all"
HALFWAY = 0.5
RENDER_BATCH = 4
"""Pictures that are computed at once, always as many: a convolution sums in another order in a batch of another size, and a picture that is shown among
others would differ by a rounding from the same one downloaded alone. Filling up costs one picture 20 ms; sixteen take half as long as one by one."""
Check = Callable[[], None]


class RenderInput(NamedTuple):
    """What a picture is made from.

    Attributes:
        z: (sum of the layers' lengths,).
        stand: Where the frontmost layer stands; None: where its latent puts it.
        matte: Factor of its opacity.
        harmonise: Share of harmonising and correction.
    """

    z: Tensor
    stand: TransformState | None
    matte: float
    harmonise: float


def render_input(loaded: ActiveArtifact, state: State) -> RenderInput:
    """What the picture of a state is made from.

    Raises:
        RequestRefused: 422, the artifact has not what the state asks for.
    """
    _require_possible(loaded, state)
    dims = loaded.artifact.card.latent_dims
    parts = [_latent(_given(loaded, state, name), name, dim) for name, dim in dims.items()]
    parts = list(torch.split(truncate(torch.cat(parts), state.truncation), list(dims.values())))
    for name, amounts in state.directions.items():
        index = list(dims).index(name)
        vectors = loaded.directions(name).vectors[: len(amounts)]
        parts[index] = parts[index] + torch.tensor(amounts, dtype=torch.float32) @ vectors
    return RenderInput(torch.cat(parts), state.stand, state.matte_strength, state.harmonise)


def render_stages(loaded: ActiveArtifact, shots: Sequence[RenderInput], check: Check) -> Iterator[CompositionStages]:
    """Every stage of each picture in turn, one image each; now and then `check` may end the work by raising."""
    for standing, alike in groupby(shots, key=lambda shot: shot.stand is not None):
        group = list(alike)
        for start in range(0, len(group), RENDER_BATCH):
            check()
            few = group[start : start + RENDER_BATCH]
            filled = [*few, *few[-1:] * (RENDER_BATCH - len(few))]
            stages = _stages(loaded, filled, standing)
            yield from (stages[index] for index in range(len(few)))


def _stages(loaded: ActiveArtifact, shots: Sequence[RenderInput], standing: bool) -> CompositionStages:
    stands: dict[str, LayerTransform] = {}
    if standing and loaded.composer is not None:
        places = [shot.stand or TransformState() for shot in shots]
        rows = [(place.scale, place.across, place.down, -1.0 if place.flip else 1.0) for place in places]
        stands[loaded.composer.frontmost_layer] = LayerTransform(*torch.tensor(rows).unbind(1))
    trained = all(shot.matte == 1 and shot.harmonise == 1 for shot in shots)
    strengths = None if trained else EffectStrengths(*torch.tensor([(shot.matte, shot.harmonise) for shot in shots], dtype=torch.float32).unbind(1))
    return loaded.artifact.layers_from_latents(torch.stack([shot.z for shot in shots]), stands, strengths)


def render_state(loaded: ActiveArtifact, state: State) -> CompositionStages:
    """Every stage of a state's picture, one image each.

    Raises:
        RequestRefused: See `shot_of`.
    """
    return _alone(loaded, render_input(loaded, state))


def _alone(loaded: ActiveArtifact, shot: RenderInput) -> CompositionStages:
    return next(render_stages(loaded, [shot], lambda: None))


def grid_states(loaded: ActiveArtifact, request: GridRequest, most: int) -> list[State]:
    """The states of a grid, row by row.

    Raises:
        RequestRefused: 422, names that the artifact has not, seeds that do not go together, or more than `most` pictures.
    """
    names = list(request.vary)
    if request.rows is not None or request.columns is not None:
        if request.rows is None or request.columns is None or {request.rows, request.columns} != set(names) or len(names) != 2:
            raise RequestRefused(422, "rows, columns: name two different latents, both with seeds in vary and no others")
        pairs = [(row, column) for row in request.vary[request.rows] for column in request.vary[request.columns]]
        chosen = [{request.rows: row, request.columns: column} for row, column in pairs]
    else:
        counts = {len(seeds) for seeds in request.vary.values()}
        if len(counts) > 1:
            raise RequestRefused(422, "vary: every latent needs as many seeds as the others")
        chosen = [{name: request.vary[name][index] for name in names} for index in range(counts.pop())]
    if len(chosen) > most:
        raise RequestRefused(422, f"vary: {len(chosen)} pictures are too many; ask for at most {most}")
    for name in names:
        _require_latent(loaded, name, "vary")
    latents = request.state.latents
    return [
        request.state.model_copy(update={"latents": {**latents, **{name: SeedLatent(seed=seed) for name, seed in seeds.items()}}}) for seeds in chosen
    ]


def morph_inputs(loaded: ActiveArtifact, request: MorphRequest) -> list[RenderInput]:
    """What the frames of a morph are made from; the ends are those of the two states to the bit.

    Raises:
        RequestRefused: 422, two artifacts, a layer that is none, or what `shot_of` refuses.
    """
    if request.start.artifact != request.end.artifact:
        raise RequestRefused(422, "to: is another artifact's picture; morph two of the same artifact")
    if request.layer != ALL:
        _require_latent(loaded, request.layer, "layer")
    start, end = render_input(loaded, request.start), render_input(loaded, request.end)
    moving = None if request.layer == ALL else [request.layer]
    z, _ = interpolate_path(torch.stack([start.z, end.z]), request.frames, loaded.artifact.card.latent_dims, layers=moving, easing=request.easing)
    pace = EASINGS[request.easing].pace
    shares = [pace(index / (request.frames - 1)) for index in range(request.frames)]
    front = request.layer in (ALL, None if loaded.composer is None else loaded.composer.frontmost_layer)
    standing = _stands(loaded, start, end, shares) if front and start.stand != end.stand else [start.stand] * request.frames
    mattes = [_between(start.matte, end.matte, share) if front else start.matte for share in shares]
    harmonised = [_between(start.harmonise, end.harmonise, share) if request.layer == ALL else start.harmonise for share in shares]
    return [RenderInput(*numbers) for numbers in zip(z, standing, mattes, harmonised, strict=True)]


def fill_in_latents(loaded: ActiveArtifact, state: State) -> State:
    """The state with every layer's latent in it; a place that goes with the frontmost layer stays out."""
    dims = loaded.artifact.card.latent_dims
    given = {name: _given(loaded, state, name) for name in dims if name in state.latents or name != PLACEMENT_LATENT}
    return state.model_copy(update={"latents": given})


def _given(loaded: ActiveArtifact, state: State, name: str) -> SeedLatent | ValuesLatent | MixLatent:
    if name not in state.latents and name == PLACEMENT_LATENT and loaded.composer is not None:
        return _seeds_alone(state.latents.get(loaded.composer.frontmost_layer, SeedLatent(seed=0)))
    return state.latents.get(name, SeedLatent(seed=0))


def _seeds_alone(latent: SeedLatent | ValuesLatent | MixLatent) -> SeedLatent | ValuesLatent | MixLatent:
    """What a place goes by: another latent's seeds; where that has numbers, seed 0."""
    if isinstance(latent, MixLatent):
        return MixLatent(mix=(_seeds_alone(latent.mix[0]), _seeds_alone(latent.mix[1]), latent.mix[2]))
    return latent if isinstance(latent, SeedLatent) else SeedLatent(seed=0)


def _latent(given: SeedLatent | ValuesLatent | MixLatent, name: str, dim: int) -> Tensor:
    """(dim,)."""
    if isinstance(given, SeedLatent):
        return latents_from_seeds({name: [given.seed]}, {name: dim})[0]
    if isinstance(given, ValuesLatent):
        if len(given.values) != dim:
            raise RequestRefused(422, f"latents.{name}.values: has {len(given.values)} numbers; this artifact takes {dim}")
        return torch.tensor(given.values, dtype=torch.float32)
    first, second = (_latent(parent, name, dim) for parent in given.mix[:2])
    return interpolate_latents(first, second, {name: [given.mix[2]]}, {name: dim})[0]


def _require_possible(loaded: ActiveArtifact, state: State) -> None:
    for name in state.latents:
        _require_latent(loaded, name, "latents")
    for name, amounts in state.directions.items():
        _require_latent(loaded, name, "directions")
        if len(amounts) > loaded.direction_counts.get(name, 0):
            raise RequestRefused(422, f"directions.{name}: this artifact has {loaded.direction_counts.get(name, 0)} of them; leave the others out")
    movable = () if loaded.composer is None else loaded.composer.movable_layers
    if state.stand is not None and not movable:
        raise RequestRefused(422, "stand: nothing can be moved in this artifact; choose a composition by mattes, or leave it out")
    if state.matte_strength != 1 and not movable:
        raise RequestRefused(422, "matte_strength: this artifact has no matte; choose a composition by mattes, or leave it at 1")
    if state.harmonise != 1 and not (loaded.composer is not None and loaded.composer.can_scale_harmonization):
        raise RequestRefused(422, "harmonise: this artifact has nothing that harmonises in part; leave it at 1")


def _require_latent(loaded: ActiveArtifact, name: str, option: str) -> None:
    dims = loaded.artifact.card.latent_dims
    if name not in dims:
        raise RequestRefused(422, f"{option}: this artifact has no latent of that name; choose from {', '.join(dims)}")


def _stands(loaded: ActiveArtifact, start: RenderInput, end: RenderInput, shares: list[float]) -> list[TransformState | None]:
    """Stands on the way; the mirror turns halfway, for there is nothing between."""
    first, last = _standing(loaded, start), _standing(loaded, end)
    between = [
        TransformState(
            scale=_between(first.scale, last.scale, share),
            across=_between(first.across, last.across, share),
            down=_between(first.down, last.down, share),
            flip=(first if share < HALFWAY else last).flip,
        )
        for share in shares[1:-1]
    ]
    return [start.stand, *between, end.stand]


def _standing(loaded: ActiveArtifact, shot: RenderInput) -> TransformState:
    """Where the frontmost layer of a picture stands, given or not."""
    return shot.stand or front_transform(loaded, _alone(loaded, shot)) or TransformState()


def front_transform(loaded: ActiveArtifact, stages: CompositionStages) -> TransformState | None:
    """Where the frontmost layer of a picture's stages stands; None where it cannot be moved."""
    composer = loaded.composer
    if composer is None or not composer.movable_layers:
        return None
    if composer.frontmost_layer not in stages.transforms:
        return TransformState()
    scale, across, down, mirror = (float(number) for number in stages.transforms[composer.frontmost_layer])
    return TransformState.model_construct(scale=scale, across=across, down=down, flip=mirror < 0)


def _between(first: float, second: float, share: float) -> float:
    return first if share == 0 else second if share == 1 else (1 - share) * first + share * second
