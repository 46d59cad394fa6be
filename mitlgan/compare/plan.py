"""The plan of a comparison: what is compared and how, fixed before the first training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mitlgan.artifacts.hub import is_hub_reference
from mitlgan.errors import UsageError
from mitlgan.metrics.protocol import MIN_SAMPLES
from mitlgan.networks import check_layer_name
from mitlgan.runtime.arguments import require_whole

TIME, KIMG = "time", "kimg"
"""The default resources: kimg with budgets, else time, which means CPU seconds if those of all stages are known, and seconds otherwise."""

RESOURCE_UNITS = {TIME: "seconds", KIMG: "kimg", "seconds": "seconds", "cpu-seconds": "CPU seconds", "macs": "tera-MACs"}
"""Resource of which all arms get the same amount -> unit for readers."""

BUILT_IN_BASELINES = ("wgan", "plain-wgan", "wgan-finetuned", "plain", "paste")
MAX_SEEDS, MAX_JOBS = 100, 64


@dataclass(frozen=True)
class DomainSpec:
    """One domain of the thesis' protocol, a `--domain`.

    Attributes:
        name: Of the domain.
        fg: Images or a generator of foregrounds: `demo`, a folder, a pack, an artifact or a run.
        bg: The same for backgrounds.
        scene: Images of scenes.
        layers: The same of each layer by name, from back to front, in place of `fg` and `bg`; empty: those two.
    """

    name: str
    fg: str
    bg: str
    scene: str
    layers: Mapping[str, str] = field(default_factory=dict)

    @property
    def sources(self) -> dict[str, str]:
        """Images or generator of each layer, by its name."""
        return dict(self.layers) or {"fg": self.fg, "bg": self.bg}


@dataclass(frozen=True)
class ComparisonPlan:
    """What is compared, and how.

    Attributes:
        composed: Run of a composition; None takes the newest whose layers can be moved, else the newest.
        baselines: At least one, each one of `BUILT_IN_BASELINES`, a recipe for scenes or a composition, an artifact or a run.
        baseline_run: A trained WGAN; None takes the matching run, or trains one.
        equal: The resource of which every arm gets the same amount, a key of `RESOURCE_UNITS`; empty is time, or kimg with budgets.
        count_pretraining: Whether baselines also get what the pretrainings took; None does so if it is known.
        budgets: Lengths at which arms are compared, in the unit of `equal`; empty is the composition's own length.
        seeds: Trainings of each arm, from 1 to `MAX_SEEDS`.
        pretrain_seeds: Whether each seed also trains its own layers.
        recipe: Recipe of a composition that is trained here; None is that of `composed`, or the demo's.
        layers: Generators by layer, from back to front, if the composition is trained here. If `fg` or `bg` is missing, it is taken from `composed`,
            else from the newest run, else from the shipped artifacts.
        data: Scenes that replace the recipe's.
        settings: Changes of the recipe, `a.b=v`; with domains also of the layers' pretraining.
        domains: Domains, each with its own composition.
        fg_recipe: Recipe by which layers in front are pretrained for a domain; None: the one that belongs to the composition's.
        bg_recipe: The same for the background.
        trials: Number of recipes tried before this comparison, by arm, as declared by the user; 1 by default.
        extractors: Extractors of the metrics, the first of which decides; empty is the recipe's, and a second one if it is available.
        weights: Weights file of the first extractor.
        samples: Number of images evaluated, at least `MIN_SAMPLES`; None is the recipe's.
        jobs: Number of trainings at a time, from 1 to `MAX_JOBS`.
    """

    composed: Path | None = None
    baselines: tuple[str, ...] = ("wgan",)
    baseline_run: Path | None = None
    equal: str = ""
    count_pretraining: bool | None = None
    budgets: tuple[float, ...] = ()
    seeds: int = 1
    pretrain_seeds: bool = False
    recipe: str | None = None
    layers: Mapping[str, Path] = field(default_factory=dict)
    data: str | None = None
    settings: tuple[str, ...] = ()
    domains: tuple[DomainSpec, ...] = ()
    fg_recipe: str | None = None
    bg_recipe: str | None = None
    trials: Mapping[str, int] = field(default_factory=dict)
    extractors: tuple[str, ...] = ()
    weights: Path | None = None
    samples: int | None = None
    jobs: int = 1

    def __post_init__(self) -> None:
        require_whole("--seeds", self.seeds, 1, MAX_SEEDS)
        require_whole("--jobs", self.jobs, 1, MAX_JOBS)
        if self.samples is not None:
            require_whole("--samples", self.samples, MIN_SAMPLES)
        if not self.baselines:
            raise UsageError("--baseline: none is given; name at least one, such as wgan")
        if not self.equal:
            object.__setattr__(self, "equal", KIMG if self.budgets else TIME)
        if self.equal not in RESOURCE_UNITS:
            raise UsageError(f"--equal {self.equal}: not one of {', '.join(RESOURCE_UNITS)}")
        if any(not 0 < budget < 1e7 for budget in self.budgets) or list(self.budgets) != sorted(set(self.budgets)):
            raise UsageError(f"--budgets {', '.join(f'{budget:g}' for budget in self.budgets)}: give increasing lengths, such as 5,10,20")
        if self.budgets and self.equal == TIME:
            raise UsageError("--budgets: name their unit by --equal kimg, seconds, cpu-seconds or macs")
        if self.jobs > 1 and self.equal == "seconds":
            raise UsageError("--jobs: arms that share a machine slow each other down; with --equal seconds use --jobs 1, or --equal cpu-seconds")
        if len({spec.name for spec in self.domains}) < len(self.domains):
            raise UsageError("--domain: two domains have one name; give each its own")
        if not self.domains and (self.fg_recipe or self.bg_recipe):
            raise UsageError("--fg-recipe, --bg-recipe: pretrain the layers of a --domain; leave them out, or give one")

    @property
    def trains_compositions(self) -> bool:
        """Whether the compositions are trained here, rather than taken as they are."""
        options = (self.budgets, self.domains, self.settings, self.recipe, self.layers, self.data, self.pretrain_seeds)
        return self.seeds > 1 or any(options)

    def to_json(self) -> dict[str, Any]:
        """Return the content of `plan.json`, which is written before the first training."""
        values = asdict(self)
        paths = {key: None if values[key] is None else str(values[key]) for key in ("composed", "baseline_run", "weights")}
        values["triples"] = values.pop("domains")  # the key of earlier versions, whose comparisons are resumed
        for table in (values, *values["triples"]):  # what earlier versions did not know is left out where it is not used
            for key in ("fg_recipe", "bg_recipe", "layers"):
                if not table.get(key) and (table is not values or key != "layers"):
                    table.pop(key, None)
        return {**values, **paths, "layers": {name: str(path) for name, path in self.layers.items()}, "trials": dict(self.trials)}


def parse_domain(text: str) -> DomainSpec:
    """Parse a `--domain`, NAME=FG,BG,SCENE, or NAME=LAYER=SOURCE,LAYER=SOURCE,...,SCENE with two layers or more.

    Raises:
        UsageError: The text has another form.
    """
    name, equals, rest = text.partition("=")
    *sources, scene = (part.strip() for part in rest.split(","))
    named = [
        (layer.strip(), source.strip())
        for layer, separator, source in (part.partition("=") for part in sources)
        if separator and not is_hub_reference(layer)
    ]
    is_plain, is_named = len(sources) == 2 and not named, len(sources) >= 2 and len(named) == len(sources)
    if not equals or not name.strip() or not (is_plain or is_named) or not all([*sources, scene]):
        raise UsageError(
            f"--domain {text}: write it as NAME=FG,BG,SCENE, such as pets=cats/,rooms/,cats-in-rooms/, "
            "or with any number of layers from back to front, NAME=bg=rooms/,cat=cats/,hat=hats/,SCENE"
        )
    if is_plain:
        return DomainSpec(name.strip(), sources[0], sources[1], scene)
    for layer, source in named:
        try:
            check_layer_name(layer)
        except UsageError as error:
            raise UsageError(f"--domain {text}: {error}") from None
        if not source or [other for other, _ in named].count(layer) > 1:
            raise UsageError(f"--domain {text}: {layer} {'has no pictures' if not source else 'is given twice'}; write each layer once, as NAME=SOURCE")
    return DomainSpec(name.strip(), "", "", scene, dict(named))


def parse_budgets(text: str | None) -> tuple[float, ...]:
    """Parse `--budgets`, such as 5,10,20.

    Raises:
        UsageError: A part is not a number.
    """
    try:
        return tuple(float(part) for part in (text or "").split(",") if part.strip())
    except ValueError:
        raise UsageError(f"--budgets {text}: write numbers separated by commas, such as 5,10,20") from None


def parse_trials(texts: tuple[str, ...]) -> dict[str, int]:
    """Parse `--trials`, each ARM=N.

    Raises:
        UsageError: A text has another form, or an arm is given twice.
    """
    trials: dict[str, int] = {}
    for text in texts:
        arm, equals, count = text.partition("=")
        if not equals or not count.isdecimal() or int(count) < 1:
            raise UsageError(f"--trials {text}: write it as ARM=N, such as wgan=3")
        if arm in trials:
            raise UsageError(f"--trials {text}: {arm} is given twice; give each arm once")
        trials[arm] = int(count)
    return trials
