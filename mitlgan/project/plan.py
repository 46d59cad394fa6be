"""The plan of a project: its photographs, recipes and lengths. It is written before the first step, so that a later call goes on with the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from mitlgan.artifacts.known_artifacts import PLAN_FILE as PLAN_FILE
from mitlgan.data.layers.cut import DEFAULT_MATTING
from mitlgan.data.layers.holdout import DEFAULT_HOLDOUT, HoldoutSize
from mitlgan.data.layers.split import SplitSettings
from mitlgan.data.sources.split_folders import list_names
from mitlgan.errors import UsageError
from mitlgan.project.recipe_families import FAMILIES, SIZES_PX, RecipeFamily
from mitlgan.recipe.messages import short
from mitlgan.recipe.schema.recipe import MAX_LICENCE_LENGTH, MAX_SEED
from mitlgan.runtime.files import write_json
from mitlgan.runtime.json_files import read_json

SCHEMA_VERSION = 2
CUT_FACTOR = 2
"""Size of the cut layers over that of the pictures to make: cut finer than trained, so that edges stay soft."""


@dataclass(frozen=True)
class ProjectRequest:
    """What a user asks for.

    Attributes:
        photographs: Folder, archive or list of the photographs, with its absolute path.
        size_px: Size of the pictures to make; None takes what the photographs have pixels for.
        minutes: Time for all of it; None takes the recipes' own lengths.
        holdout: Share or number of photographs that are held out of training; None for that of the first call, or a tenth.
        matting: As of `data split --matting`; None for that of the first call, or `auto`.
        licence: Licence of the artifacts; None for that of the first call, or none.
        seed: Of all trainings; None for that of the first call, or 0.
        allow_bad: Continue if more than 5 % of the files are not usable pictures.
    """

    photographs: str
    size_px: int | None = None
    minutes: float | None = None
    holdout: str | None = None
    matting: str | None = None
    licence: str | None = None
    seed: int | None = None
    allow_bad: bool = False

    def __post_init__(self) -> None:
        if self.size_px is not None and self.size_px not in SIZES_PX:
            raise UsageError(f"--size {self.size_px}: recipes make {' or '.join(map(str, SIZES_PX))} px; give one of these")
        if self.minutes is not None and not 0 < self.minutes < 1e6:
            raise UsageError(f"--minutes {self.minutes:g}: give a number above 0, such as 12")
        if self.holdout is not None:
            HoldoutSize.parse(self.holdout)
        if self.seed is not None and not 0 <= self.seed <= MAX_SEED:
            raise UsageError(f"--seed {self.seed}: give a number from 0 to {MAX_SEED}")
        if len(self.licence or "") > MAX_LICENCE_LENGTH:
            raise UsageError(f"--licence: {len(self.licence or '')} characters; give its name in at most {MAX_LICENCE_LENGTH}, such as CC-BY-4.0")


OPTIONS = {
    "photographs": "PHOTOS", "size_px": "--size", "minutes": "--minutes", "holdout": "--holdout", "matting": "--matting", "licence": "--licence",
    "seed": "--seed",
}  # fmt: skip
"""Where the user gives each value that cannot change between two calls."""
DEFAULTS = {"holdout": DEFAULT_HOLDOUT, "matting": DEFAULT_MATTING, "licence": "", "seed": 0}
"""What a project begins with where the user gives no value."""


@dataclass(frozen=True)
class ProjectPlan:
    """What a project does.

    Attributes:
        request: What the user asked for.
        listing_sha256: Tells whether the photographs are still the same.
        count: Number of photographs.
        family: Name of the recipe family.
        size_px: Size of the composition's pictures.
        lengths_kimg: Length of each training by its label, such as `fg-32` and `scene-64`.
        cuts_sha256: Tells whether the cuts are still those that were trained on, see `hash_cuts`; empty before the photographs are cut.
        held_out_sha256: The same of those that are only measured against; empty as well if an earlier version wrote the plan, whose hash is of both.
        places: Where the project is and was, absolute: its runs name their pictures there. Empty if an earlier version wrote it.
    """

    request: ProjectRequest
    listing_sha256: str
    count: int
    family: str
    size_px: int
    lengths_kimg: Mapping[str, float]
    cuts_sha256: str = ""
    held_out_sha256: str = ""
    places: tuple[str, ...] = ()

    @property
    def recipe_family(self) -> RecipeFamily:
        """The recipes."""
        return FAMILIES[self.family]

    @property
    def cut_px(self) -> int:
        """Size to which photographs are reduced before they are cut."""
        return CUT_FACTOR * self.size_px

    def split_settings(self) -> SplitSettings:
        """Return how the photographs are cut."""
        return split_settings(self.request, self.size_px)

    def split_command(self, layers: Path) -> list[str]:
        """Return the words of the command that cuts the photographs into a folder, without `mitlgan`."""
        request = self.request
        words = ["data", "split", shown_path(request.photographs), "--out", str(layers), "--size", str(self.cut_px), "--centre"]
        words += ["--holdout", request.holdout or DEFAULT_HOLDOUT, *(["--allow-bad"] if request.allow_bad else [])]
        return [*words, *(["--matting", request.matting] if request.matting not in (None, DEFAULT_MATTING) else [])]

    def with_places(self, places: Iterable[str]) -> ProjectPlan:
        """Return the plan with further places of the project."""
        return replace(self, places=tuple(dict.fromkeys((*self.places, *places))))

    def write(self, out: Path) -> None:
        """Write the plan into the project's folder."""
        values = asdict(self)
        write_json(out / PLAN_FILE, {"schema_version": SCHEMA_VERSION, **values, "lengths_kimg": dict(self.lengths_kimg)}, root=out)


def read_plan(out: Path) -> ProjectPlan | None:
    """Return the plan of a project that was begun; None if there is none.

    Raises:
        UsageError: The plan was written by another version, or is damaged.
    """
    if not (out / PLAN_FILE).is_file():
        return None
    values = read_json(out / PLAN_FILE)
    if newer := _find_newer(values):
        raise UsageError(f"{out / PLAN_FILE}: written by a newer version of mitlgan ({newer}); use that one to go on, or give another --out")
    try:
        if values.pop("schema_version") != SCHEMA_VERSION:
            raise ValueError
        plan = ProjectPlan(**{**values, "request": ProjectRequest(**values["request"]), "places": tuple(values.get("places", ()))})
        assert plan.recipe_family.compositions[plan.size_px]
        assert all(float(length) > 0 for length in plan.lengths_kimg.values())
        assert all(isinstance(place, str) for place in plan.places)
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError, UsageError):
        raise UsageError(f"{out / PLAN_FILE}: not a plan that this version reads; give another --out, or remove the folder to begin again") from None
    return plan


def _find_newer(values: Mapping[str, Any]) -> str:
    """Return by what a newer version's plan is told from one that this version wrote; empty if by nothing."""
    version, request = values.get("schema_version"), values.get("request")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        return f"schema_version {version}, this one reads {SCHEMA_VERSION}"
    if version != SCHEMA_VERSION or not isinstance(request, Mapping):
        return ""
    known = {"schema_version", *(field.name for field in fields(ProjectPlan))}, {field.name for field in fields(ProjectRequest)}
    unknown = [short(key) for names, part in zip(known, (values, request), strict=True) for key in part if key not in names]
    return f"this one does not know {list_names(unknown)}" if unknown else ""


def require_same_request(plan: ProjectPlan, request: ProjectRequest, listing_sha256: str, count: int, out: Path) -> ProjectPlan:
    """Return the plan to go on with; refuse other photographs or options than those of the first call.

    Options that are not given now are those of the first call; bad files may be allowed later. The same photographs may have another path.

    Raises:
        UsageError: Says what differs, and what to do.
    """
    stored = {key: value for key, value in asdict(plan.request).items() if value is not None}
    before, now = {"minutes": None, **DEFAULTS, **stored, "size_px": plan.size_px}, asdict(request)
    if listing_sha256 == plan.listing_sha256 or Path(now["photographs"]).resolve() == Path(before["photographs"]).resolve():
        before["photographs"] = now["photographs"]
    for key, option in OPTIONS.items():
        if now[key] is not None and now[key] != before[key]:
            was = "its own length" if key == "minutes" and before[key] is None else before[key]
            raise UsageError(
                f"{option} {now[key]}: {out} was begun with {'none' if was == '' else was}; call it with that to go on, give another --out, "
                "or remove the folder to begin again"
            )
    if listing_sha256 != plan.listing_sha256:
        change = f"{plan.count:,} then, {count:,} now" if count != plan.count else f"{count:,} as then, but with other, changed or copied files"
        raise UsageError(f"PHOTOS {request.photographs}: other pictures than when {out} was begun ({change}); give another --out for them")
    changes: dict[str, Any] = {"photographs": request.photographs, "allow_bad": plan.request.allow_bad or request.allow_bad}
    return replace(plan, request=replace(plan.request, **changes))


def split_settings(request: ProjectRequest, size_px: int) -> SplitSettings:
    """Return how photographs are cut for pictures of a size; objects in the middle of their frames are learned sooner, placement brings them back."""
    return SplitSettings(
        matting=request.matting or DEFAULT_MATTING,
        size_px=CUT_FACTOR * size_px,
        centre=True,
        holdout=request.holdout or DEFAULT_HOLDOUT,
        allow_bad=request.allow_bad,
    )


def full_path(photographs: str | Path) -> str:
    """Return the absolute path of what a user typed; links stay, except where `..` follows one."""
    path = Path(photographs).absolute()
    return str(path.resolve() if ".." in path.parts else path)


def shown_path(path: str) -> str:
    """Return an absolute path as a user would type it: relative where it is below the working folder, and never taken for an option."""
    with suppress(ValueError):
        relative = str(Path(path).relative_to(Path.cwd()))
        return f"./{relative}" if relative.startswith("-") else relative
    return path


def default_folder(photographs: str) -> Path:
    """Return the folder of a project that is not named."""
    path = Path(full_path(photographs))
    return Path(f"mitlgan-{path.stem if path.is_file() else path.name}")
