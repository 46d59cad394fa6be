"""What is compared, and how: all that must stand before the first training begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mitlgan.errors import UsageError

TIME, KIMG = "time", "kimg"
"""CPU seconds where all stages know theirs, else seconds; what arms get alike where nothing else is asked for."""

RESOURCE_UNITS = {TIME: "seconds", KIMG: "kimg", "seconds": "seconds", "cpu-seconds": "CPU seconds", "macs": "tera-MACs"}
"""What arms can get alike -> its unit, as readers see it."""

BUILT_IN_BASELINES = ("wgan", "plain-wgan", "wgan-finetuned", "plain", "paste")


@dataclass(frozen=True)
class DomainSpec:
    """One domain of the thesis' protocol.

    Attributes:
        name: Of the domain.
        fg: Pictures or a generator of foregrounds: `demo`, a folder, a pack, an artifact or a run.
        bg: Likewise of backgrounds.
        scene: Pictures of scenes.
    """

    name: str
    fg: str
    bg: str
    scene: str


@dataclass(frozen=True)
class ComparisonPlan:
    """What is compared, and how.

    Attributes:
        composed: A composition's run; None takes the newest.
        baselines: Each one of `BUILT_IN`, a recipe of scenes or of a composition, or an artifact or run.
        baseline_run: A trained WGAN; None takes the matching one, or trains it.
        equal: Key of `EQUAL`: what every arm gets alike; empty is `TIME`, or kimg where budgets are given.
        count_pretraining: Whether baselines also get what the pretrainings took; None: where it is known.
        budgets: Lengths at which arms stand, in the unit of `equal`; none: the composition's own length.
        seeds: Trainings of each arm.
        pretrain_seeds: Whether each seed also trains its own layers.
        recipe: Of the composition, where it is trained here; None is that of `composed`, else the demo's.
        layers: Generators by layer, where the composition is trained here, from the back to the front. Of `fg` and `bg` alone one may be absent:
            it is that of `composed`, else the newest, else the shipped one.
        data: Scenes, in place of the recipe's.
        settings: Changes of the recipe, `a.b=v`.
        domains: Domains, each with a composition of its own.
        trials: Recipes that were tried before this comparison, by arm, as its user declares; 1 where nothing is said.
        extractors: Of the metrics, the deciding one first; none are the recipe's, and a second one where it is at hand.
        weights: The first extractor's weights file.
        samples: Images evaluated; None is the recipe's.
        jobs: Trainings at a time.
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
    trials: Mapping[str, int] = field(default_factory=dict)
    extractors: tuple[str, ...] = ()
    weights: Path | None = None
    samples: int | None = None
    jobs: int = 1

    def __post_init__(self) -> None:
        if not self.equal:
            object.__setattr__(self, "equal", KIMG if self.budgets else TIME)
        if self.equal not in RESOURCE_UNITS:
            raise UsageError(f"--equal {self.equal}: not one of {', '.join(RESOURCE_UNITS)}")
        if any(not 0 < budget < 1e7 for budget in self.budgets) or list(self.budgets) != sorted(set(self.budgets)):
            raise UsageError(f"--budgets {', '.join(f'{budget:g}' for budget in self.budgets)}: give lengths that grow, such as 5,10,20")
        if self.budgets and self.equal == TIME:
            raise UsageError("--budgets: name their unit by --equal kimg, seconds, cpu-seconds or macs")
        if self.jobs > 1 and self.equal == "seconds":
            raise UsageError("--jobs: arms that share a machine slow each other down; with --equal seconds use --jobs 1, or --equal cpu-seconds")
        if len({triple.name for triple in self.domains}) < len(self.domains):
            raise UsageError("--domain: two domains have one name; give each its own")

    @property
    def trains_compositions(self) -> bool:
        """Whether the compositions are trained here, and not taken as they are."""
        named = (self.recipe, self.layers, self.data)
        return bool(self.budgets or self.domains or self.settings) or self.seeds > 1 or self.pretrain_seeds or any(named)

    def to_json(self) -> dict[str, Any]:
        """For `plan.json`, which is written before the first training."""
        values = asdict(self)
        paths = {key: None if values[key] is None else str(values[key]) for key in ("composed", "baseline_run", "weights")}
        values["triples"] = values.pop("domains")  # the key of earlier versions, whose comparisons are resumed
        return {**values, **paths, "layers": {name: str(path) for name, path in self.layers.items()}, "trials": dict(self.trials)}


def parse_domain(text: str) -> DomainSpec:
    """A triple as the command line has it, `NAME=FG,BG,SCENE`.

    Raises:
        UsageError: It has another form.
    """
    name, equals, rest = text.partition("=")
    parts = [part.strip() for part in rest.split(",")]
    if not equals or not name.strip() or len(parts) != 3 or not all(parts):
        raise UsageError(f"--domain {text}: write it as NAME=FG,BG,SCENE, such as pets=cats/,rooms/,cats-in-rooms/")
    return DomainSpec(name.strip(), *parts)


def parse_budgets(text: str | None) -> tuple[float, ...]:
    """Budgets as the command line has them, `5,10,20`.

    Raises:
        UsageError: Not numbers.
    """
    try:
        return tuple(float(part) for part in (text or "").split(",") if part.strip())
    except ValueError:
        raise UsageError(f"--budgets {text}: write numbers with commas between them, such as 5,10,20") from None


def parse_trials(texts: tuple[str, ...]) -> dict[str, int]:
    """Tuning trials as the command line has them, `ARM=N`.

    Raises:
        UsageError: They have another form.
    """
    found = {}
    for text in texts:
        arm, equals, count = text.partition("=")
        if not equals or not count.isdecimal() or int(count) < 1:
            raise UsageError(f"--trials {text}: write it as ARM=N, such as wgan=3")
        found[arm] = int(count)
    return found
