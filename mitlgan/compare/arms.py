"""The arms of a comparison: which recipes they train, from what, and what stands for them without any training."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mitlgan import artifact, runs, stages
from mitlgan.artifact import LAYER_ROLES, Card, LayerForm
from mitlgan.compare.budgets import CLOCKS, MINIMUM_S, NO_LIMIT_KIMG, training_macs
from mitlgan.compare.plan import BUILT_IN
from mitlgan.data.cache import cache_dir
from mitlgan.errors import ArtifactError, UsageError
from mitlgan.jobs import Job
from mitlgan.networks import Composer, Generator, back_to_front
from mitlgan.recipe import AnyGenerator, ObjectiveRecipe, Recipe, changed, display_name, display_name_of, find, load, parse, plain
from mitlgan.runs import Run
from mitlgan.sample import artifact_file
from mitlgan.stages import Environment

COMPOSED = "composed"
LABELS = {
    "wgan": "WGAN",
    "wgan-finetuned": "WGAN from the foreground's weights",
    "plain": "Plain generator, by the composition's objective",
    "paste": "Frozen layers, pasted",
}
WGAN_SETTINGS: Mapping[str, object] = {
    "objective": ObjectiveRecipe(critic_steps=3).model_dump(),  # Gulrajani et al. 2017: 5, with fewer updates of the generator in the same time
    "critic__kernel": 5,
    "training__batch": 32,
}
"""Of the WGAN-GP beside a composition that has another objective: the demo's. A baseline must not lose by settings that were chosen for another arm."""


@dataclass(frozen=True)
class Arm:
    """One arm.

    Attributes:
        name: Unique in the comparison.
        label: What readers see.
        recipe: What is trained; None where nothing is.
        composes: Whether it is made of the frozen layers.
        starts: Whether it begins with the foreground generator's weights.
        fixed: An artifact that stands as it is.
        counted: Whether the pretrainings' cost is added to its budgets.
    """

    name: str
    label: str
    recipe: Recipe | None = None
    composes: bool = False
    starts: bool = False
    fixed: Path | None = None
    counted: bool = False


@dataclass(frozen=True)
class Training:
    """One training of an arm.

    Attributes:
        label: What the user sees; names its log.
        recipe: With its seed and length.
        layers: Artifact of each frozen layer, for a composition.
        start: Artifact that it begins with.
    """

    label: str
    recipe: Recipe
    layers: Mapping[str, Path] = field(default_factory=dict)
    start: Path | None = None

    def inputs(self) -> dict[str, str]:
        """Hashes of what it is made from; see `Run.inputs`."""
        made_from = {"start": self.start} if self.start is not None else self.layers
        return {name: artifact.tensors_hash(path) for name, path in made_from.items()}

    def run(self, environment: Environment) -> Run:
        """The finished run: found, gone on with, or made in this process."""
        found = self.found(environment.root)
        if found is not None:
            return found if found.artifact is not None else stages.resume(found.path, environment)
        if self.recipe.command == "compose":
            return stages.compose(self.recipe, self.layers, environment)
        return stages.pretrain(self.recipe, environment, start=self.start)

    def found(self, root: Path) -> Run | None:
        """Its run, if it has begun."""
        return stages.matching_run(root, self.recipe, self.inputs())

    def job(self) -> Job:
        """The same for a process of its own."""
        if self.recipe.command == "compose":
            short = set(self.layers) <= set(LAYER_ROLES)
            named = [[f"--{name}", str(path)] if short else ["--layer", f"{name}={path}"] for name, path in self.layers.items()]
            arguments = ["compose", *(text for pair in named for text in pair)]
        else:
            arguments = ["pretrain", self.recipe.role, *(("--from", str(self.start)) if self.start is not None else ())]
        return Job(self.label, self.recipe, arguments, self.inputs())


def baseline_recipe(recipe: Recipe, card: Card, *, equal: str = "kimg", count_pretraining: bool = False) -> Recipe:
    """The plain WGAN that a composition is compared with: the layers' generator, and everything else as the composition has it.

    Args:
        recipe: The composition's.
        card: The composition's, or one that has its layers, kimg and seconds.
        equal: A key of `plan.EQUAL`.
        count_pretraining: Whether the pretrainings' cost is added to the budget.
    """
    layers = card.forms()
    wanted = _wgan(recipe, layers)
    before = list(card.layers.values()) if count_pretraining else []
    if equal in CLOCKS:
        key = equal.replace("-", "_")
        limit_s = round(float(getattr(card, key)) + sum(float(layer.card.get(key, 0.0)) for layer in before), 1)
        return changed(wanted, training__kimg=NO_LIMIT_KIMG, training__limit_s=max(MINIMUM_S, limit_s), training__clock=CLOCKS[equal])
    kimg = card.kimg
    if equal == "macs":
        kimg = round(kimg * training_macs(recipe, layers) / training_macs(wanted, {}), 3)
    kimg += sum(float(layer.card.get("kimg", 0.0)) for layer in before)
    return changed(wanted, training__kimg=kimg, training__limit_s=None, training__clock=None)


def as_long(recipe: Recipe, composition: Recipe, card: Card, *, equal: str = "kimg", count_pretraining: bool = False) -> Recipe:
    """Another arm's recipe, with the seed of the composition that it is compared with and the length of `baseline_recipe`.

    Args:
        recipe: The arm's.
        composition: See `baseline_recipe`.
        card: See `baseline_recipe`.
        equal: See `baseline_recipe`.
        count_pretraining: See `baseline_recipe`.
    """
    training = baseline_recipe(composition, card, equal=equal, count_pretraining=count_pretraining).training
    lengths = {f"training__{key}": getattr(training, key) for key in ("kimg", "limit_s", "clock")}
    return changed(recipe, seed=composition.seed, **lengths)


def require_known(baseline: str) -> None:
    """Refuse a `--baseline` value that names nothing.

    Raises:
        UsageError: It does.
    """
    if baseline in BUILT_IN or Path(baseline).exists():
        return
    try:
        find(baseline)
    except UsageError:
        raise UsageError(f"--baseline: {baseline!r} is not one of {', '.join(BUILT_IN)}, nor a recipe, an artifact or a run") from None


def resolve(baseline: str, recipe: Recipe, layers: Mapping[str, LayerForm]) -> Arm:
    """The arm of a `--baseline` value.

    Raises:
        UsageError: It names nothing, or the layers do not allow it.
        ArtifactError: An artifact of another kind or size.
    """
    if baseline == "wgan":
        return Arm(baseline, LABELS[baseline], _wgan(recipe, layers))
    if baseline == "plain":
        return Arm(baseline, LABELS[baseline], _plain(baseline, recipe, layers))
    if baseline == "wgan-finetuned":
        return Arm(baseline, LABELS[baseline], _finetuned(recipe, layers), starts=True)
    if baseline == "paste":
        return Arm(baseline, LABELS[baseline])
    path = Path(baseline)
    if path.is_dir() or path.suffix == ".safetensors":
        file = artifact_file(path)
        card = artifact.read_card(file)
        if card.role != "scene" or card.size_px != recipe.size_px:
            wanted = f"scenes of {recipe.size_px} px"
            raise ArtifactError(f"--baseline {baseline}: makes {card.role} images of {card.size_px} px; give one of {wanted}")
        return Arm(path.stem if path.is_file() else path.name, f"{display_name_of(card.recipe, path.name)} ({card.kimg:g} kimg)", fixed=file)
    try:
        other = load(baseline)
    except UsageError as error:
        raise UsageError(f"--baseline {baseline}: {error}") from None
    if other.role != "scene" or other.size_px != recipe.size_px:
        raise UsageError(f"--baseline {baseline}: trains {other.role} images of {other.size_px} px; give one of scenes of {recipe.size_px} px")
    other = changed(other, data__source=recipe.data.source)
    if other.command == "compose":
        return Arm(other.name, composed_arm(other).label, other, composes=True)
    return Arm(other.name, display_name(other), other)


def all_arms(baselines: Sequence[str], recipe: Recipe, layers: Mapping[str, LayerForm]) -> list[Arm]:
    """The composition's arm and those of its baselines.

    Raises:
        UsageError: Two have one name.
    """
    arms = [composed_arm(recipe), *(resolve(name, recipe, layers) for name in baselines)]
    names = [arm.name for arm in arms]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"--baseline: two arms are called {twice}; give each once, and recipes names of their own")
    return arms


def composed_arm(recipe: Recipe) -> Arm:
    """The arm of a composition."""
    assert recipe.composer is not None
    shape = display_name(recipe) if recipe.name != "compose" else recipe.composer.fusion.kind
    return Arm(COMPOSED, f"Composition ({shape})", recipe, composes=True)


def layer_files(composer: Path) -> dict[str, Path]:
    """The frozen generators of a composer as artifacts of their own, in the cache, by layer.

    Raises:
        ArtifactError: Not a composer, or damaged.
    """
    network, card = artifact.load(composer)
    if not isinstance(network, Composer):
        raise ArtifactError(f"{composer}: not a composer")
    return {name: _layer_file(network.generators[name], card, name) for name in card.layers}


def _layer_file(generator: Generator, card: Card, name: str) -> Path:
    layer = card.layers[name]
    path = cache_dir() / "layers" / layer.sha256_before[:32] / "generator.safetensors"
    if not path.is_file():
        account = {key: layer.card[key] for key in ("data", "kimg", "iterations", "seconds", "cpu_seconds", "licence", "credit") if key in layer.card}
        made_by = layer.card.get("made_by") or {"name": layer.card.get("recipe", name)}
        own = Card(
            kind="generator", role=layer.role, size_px=layer.size_px or card.size_px, image_channels=layer.generator.image_channels,
            latent_dims={layer.role: layer.generator.latent_dim}, generator=layer.generator, recipe=made_by, **account,
        )  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        artifact.save(path, generator, own)
    return path


def starting_layer(recipe: Recipe, layers: Collection[str]) -> str:
    """The layer whose weights `wgan-finetuned` begins with: `fg`, or the frontmost where layers have other names."""
    assert recipe.composer is not None
    return "fg" if "fg" in layers else back_to_front(recipe.composer.order, dict.fromkeys(layers))[-1]


def given_run(path: Path, card: Card) -> Run:
    """A trained baseline that is taken as it is.

    Raises:
        UsageError: Not a run.
        ArtifactError: Of another size or role, or not finished.
    """
    run = runs.at(path)
    found = finished_card(run)
    if found.role != "scene" or found.size_px != card.size_px:
        raise ArtifactError(f"--baseline-run {path}: makes {found.role} images of {found.size_px} px; give one of scenes of {card.size_px} px")
    return run


def finished_card(run: Run) -> Card:
    """The card of a finished run.

    Raises:
        ArtifactError: It is not finished.
    """
    if run.artifact is None:
        raise ArtifactError(f"{run.path}: not finished; go on with `mitlgan resume {run.path}`")
    return artifact.read_card(run.artifact)


def _wgan(recipe: Recipe, layers: Mapping[str, LayerForm]) -> Recipe:
    """A Wasserstein GAN, whatever the composition is trained by; where that is something else, objective, batch and kernels are the demo's WGAN's."""
    wanted = _plain("wgan", recipe, layers)
    if wanted.objective.kind in ("wgan_gp", "wgan_clip"):
        return wanted
    own = {key: value for key, value in WGAN_SETTINGS.items() if key != "critic__kernel" or hasattr(wanted.critic, "kernel")}
    return changed(wanted, **own, **({"critic__spectral": False} if wanted.critic.spectral else {}))


def _plain(name: str, recipe: Recipe, layers: Mapping[str, LayerForm]) -> Recipe:
    """Of a layer in colour if there is one, else the same network with three channels; layers of other sizes may not be able to make a scene."""
    able = [form.generator for form in reversed(list(layers.values())) if _makes(form.generator, recipe.size_px)]
    if not able:
        raise UsageError(f"--baseline {name}: no layer's generator can make scenes of {recipe.size_px} px; give a recipe of scenes in its place")
    generator = next((generator for generator in able if generator.image_channels == 3), None)
    return _of_scenes(name, recipe, generator or able[0].model_copy(update={"image_channels": 3}))


def _finetuned(recipe: Recipe, layers: Mapping[str, LayerForm]) -> Recipe:
    form = layers[starting_layer(recipe, layers)]
    if form.generator.image_channels == 4:
        raise UsageError("--baseline wgan-finetuned: the foreground generator makes alpha, which a scene has not; leave this baseline out")
    if form.generator.image_channels != 3 or form.size_px != recipe.size_px:
        made = f"{form.size_px} px and {form.generator.image_channels} channels"
        raise UsageError(f"--baseline wgan-finetuned: the foreground generator makes {made}, a scene has others; leave this baseline out")
    return _of_scenes("wgan-finetuned", recipe, form.generator)


def _makes(generator: AnyGenerator, size_px: int) -> bool:
    try:
        generator.require_size(size_px)
    except ValueError:
        return False
    return True


def _of_scenes(name: str, recipe: Recipe, generator: AnyGenerator) -> Recipe:
    tree = plain(recipe)
    del tree["composer"]
    tree.pop("critic_start", None)  # its critic begins anew
    return parse(tree | {"name": name, "command": "pretrain", "generator": plain(generator)}, "baseline")
