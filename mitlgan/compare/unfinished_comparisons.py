"""Unfinished comparisons: the one that a plan goes on with, and those that the same request began with another composition or other layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mitlgan.artifacts.card import LAYER_ROLES
from mitlgan.compare.domains import lacks_layers, with_named_pictures
from mitlgan.compare.plan import ComparisonPlan
from mitlgan.compare.plan_record import Place, PlanRecord, find_place
from mitlgan.compare.reproduce import comparison_command
from mitlgan.errors import ResourceError, to_one_line
from mitlgan.recipe import pictures_of_setting, shipped_folder, with_full_source
from mitlgan.runtime.command_line import command_line
from mitlgan.runtime.files import is_locked
from mitlgan.runtime.json_files import read_json
from mitlgan.runtime.outer_folders import folders_around_runs, searched_folders
from mitlgan.runtime.progress import Say
from mitlgan.stages.context import RunContext
from mitlgan.training import run_directory
from mitlgan.training.run_directory import Run

COMPOSED_OPTION = "--composed"
"""Stands for the composition among layers: none can have this name."""


@dataclass(frozen=True)
class UnfinishedComparison:
    """A comparison whose report is not written yet.

    Attributes:
        run: Its directory.
        record: Its plan.
        is_in_work: Whether a process works on it now.
    """

    run: Run
    record: PlanRecord
    is_in_work: bool

    def asks_for(self, request: ComparisonPlan) -> bool:
        """Return whether it is what a request asks for, but for the composition, and the `fg` and `bg`, that the request leaves open."""
        if request.composed is not None or request.domains or not lacks_layers(request.layers):
            return False
        composed, layers = self.record.values.get("composed"), self.record.values.get("layers")
        if not isinstance(composed, str | None) or not isinstance(layers, dict) or not all(isinstance(path, str) for path in layers.values()):
            return False
        if not set(layers) <= set(LAYER_ROLES) or (composed is None and lacks_layers(layers)):
            return False
        values = {**self.record.values, "composed": None, "layers": {name: path for name, path in layers.items() if name in request.layers}}
        return replace(self.record, values=values).is_same(PlanRecord.of_plan(request, self.record.root))

    def describe(self, request: ComparisonPlan, context: RunContext) -> str:
        """Return one line for a user whose request it `asks_for`: the command that goes on with it, or why there is none."""
        named = {COMPOSED_OPTION: self.record.values.get("composed"), **self.record.values["layers"]}
        texts = {name: text for name, text in named.items() if text is not None}
        paths = {name: self._find_artifact(text, "compose" if name == COMPOSED_OPTION else "pretrain") for name, text in texts.items()}
        if self.is_in_work:
            return self._describe_in_work(", ".join(f"{name} {paths[name] or text}" for name, text in texts.items()))
        if lost := ", ".join(f"{name} {text}" for name, text in texts.items() if paths[name] is None):
            return self._describe_left(f"are gone or were changed: {lost}")
        layers = {name: path for name, path in paths.items() if path is not None}
        plan = replace(request, composed=layers.pop(COMPOSED_OPTION, None), layers=layers)
        return f"unfinished: {self.run.path}; to go on with it: `{comparison_command(plan, context)}`"

    def describe_changed(self, now: PlanRecord) -> str:
        """Return one line for a user whose plan it is but for artifacts that were trained on or replaced since; empty if it is not."""
        changed = self.record.changed_artifacts(now)
        if not changed:
            return ""
        layers = {path: name for name, path in self.record.values["layers"].items()}
        options = {self.record.values["composed"]: COMPOSED_OPTION, **layers}
        names = ", ".join(f"{options[text]} {text}" if text in options else text for text in changed)
        return self._describe_in_work(f"{names} as it was before") if self.is_in_work else self._describe_left(f"were changed: {names}")

    def describe_elsewhere(self, recipe: str, folder: Path) -> str:
        """Return one line for a user whose plan it is, but with the pictures that a recipe names as seen from another folder."""
        if self.is_in_work:
            return self._describe_in_work(f"the pictures that {recipe} names as seen from {folder}")
        root = self.record.root
        out = "" if root.is_absolute() else f", with --out {root.absolute()}"
        line = f"unfinished: {self.run.path}; its pictures are those that {recipe} names as seen from {folder}"
        return to_one_line(f"{line}; to go on with it, call the command there{out}")

    def _describe_in_work(self, used: str) -> str:
        return to_one_line(f"{self.run.path}: is being worked on by another process, with {used}; this is a comparison of its own")

    def _describe_left(self, reason: str) -> str:
        return to_one_line(f"unfinished: {self.run.path}; nothing goes on with it, as these {reason}{_removal(self.run)}")

    def _find_artifact(self, text: str, command: str) -> Path | None:
        """Return the composition or layer that its plan names, where that is now; None if it is nowhere, or another one by now."""
        root, place = self.record.root, self.record.places.get(text)
        if place is None:
            meant = [one for one in self.record.possible_places(text) if one.tensors_sha256 is not None]
            return next((Path(text) if find_place(text, root) == one else Path(one.path) for one in meant), None)

        def is_it(now: Place | None) -> bool:
            return now is not None and now.tensors_sha256 is not None and place.is_same(now)

        def candidates() -> Iterator[Path]:
            if not place.from_runs.startswith(".."):
                yield root / place.from_runs
            yield from (Path(text), Path(place.path), root / place.from_runs)
            for run in run_directory.list_runs(root, command):
                if run.artifact_file is not None:
                    yield run.path if command == "compose" else run.artifact_file
            if command == "pretrain":
                yield from sorted(shipped_folder("pretrained").glob("*/generator.safetensors"))

        return next((path for path in candidates() if is_it(find_place(path, root))), None)


def find_unfinished(plan: ComparisonPlan, request: ComparisonPlan, context: RunContext) -> Run | None:
    """Return the unfinished comparison of the same plan; if there is none, say which ones the same request began with other networks or pictures.

    So are those that the same plan began with others at the same place, which were trained on or replaced since.

    Earlier versions left pictures to the recipe, seen from the folder in which they worked. Where a folder around the runs has those that a relative
    path means, they were these, of the nearest one.

    Args:
        plan: As `resolve_plan` returned it.
        request: Before that: what earlier versions wrote, whose comparisons are continued, too.
        context: Where comparisons are.
    """
    root = context.root
    settings = tuple(with_full_source(setting) for setting in request.settings)
    left = replace(plan, data=request.data, settings=settings)  # as earlier versions recorded pictures that the recipe names
    record, with_data, with_places, earlier = (PlanRecord.of_plan(one, root) for one in (plan, replace(plan, settings=settings), left, request))
    unfinished = list(_list_unfinished(root, context.reporter.say))
    elsewhere = _folder_of_other_pictures(left, plan, root) if unfinished else None
    recorded = {one.run: (with_data, with_places) if one.record.places else (with_data, with_places, earlier) for one in unfinished}
    left_to_recipe = [one for one in unfinished if not one.record.is_same(record) and any(map(one.record.is_same, recorded[one.run]))]
    same = [one for one in unfinished if one.record.is_same(record) or (one in left_to_recipe and elsewhere is None)]
    if same:
        return min(same, key=lambda one: one.is_in_work).run
    named = replace(request, data=plan.data, settings=plan.settings)
    for one in unfinished:
        if one.asks_for(named):
            context.reporter.say(one.describe(named, context))
        elif elsewhere is not None and (one in left_to_recipe or one.asks_for(request)):
            context.reporter.say(one.describe_elsewhere(str(plan.recipe), elsewhere))
        elif one.asks_for(request):
            context.reporter.say(one.describe(request, context))
        elif line := one.describe_changed(record):
            context.reporter.say(line)
    return None


def _folder_of_other_pictures(left: ComparisonPlan, now: ComparisonPlan, root: Path) -> Path | None:
    """Return the nearest folder around the runs from which a plan names pictures that are there, if these are others than the plan of now names."""

    def pictures(one: ComparisonPlan) -> set[str]:
        return {*([one.data] if one.data else []), *(path for setting in one.settings for path in pictures_of_setting(setting))}

    own = pictures(now)
    for folder in searched_folders(folders_around_runs(root)):
        meant = pictures(with_named_pictures(left, folder))
        if meant <= own:
            return None
        if any(find_place(path, root) is not None for path in meant - own):
            return folder
    return None


def _list_unfinished(root: Path, say: Say) -> Iterator[UnfinishedComparison]:
    """Yield the unfinished comparisons; one whose plan.json is damaged, or with a file that is not its folder's own, is skipped with a warning."""
    for path in sorted((root / "compare").glob("[!.]*/plan.json")):
        try:
            content, is_in_work = read_json(path), is_locked(path.parent)
            if read_json(path.with_name("status.json")).get("state") == "done":  # read after the lock, which a process that ends gives up last
                continue
            if content:
                yield UnfinishedComparison(Run(path.parent), PlanRecord.of_json(content, root), is_in_work)
            elif path.exists():  # nobody removed it meanwhile
                say(to_one_line(f"warning: {path}: is empty or damaged; this comparison is not continued{_removal(Run(path.parent))}"))
        except ResourceError as error:
            say(f"warning: {error}; this comparison is not continued")


def _removal(run: Run) -> str:
    """Return the end of a line about a comparison that nothing goes on with; empty if it is none that a command removes."""
    return f"; `{command_line(['runs', 'rm', run.path])}` removes it" if run.is_comparison else ""
