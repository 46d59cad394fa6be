"""Verification of a run: every file is read and its hash compared, and what can be saved is named. Nothing is written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mitlgan.artifacts.load_save import CARD_FILE, load_network
from mitlgan.artifacts.safetensors_io import read_tensors
from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes
from mitlgan.errors import ArtifactError, DataError, MitlganError, UsageError, raise_resource_fault
from mitlgan.runtime.command_line import command_line
from mitlgan.runtime.files import LOCK_FILE, TEMPORARY_SUFFIX, is_locked, read_bytes
from mitlgan.training.run_directory import Run

Condition = Literal["ok", "torn", "left over", "damaged", "foreign"]
"""`torn`: a log ends in half a line, which a resume removes; `left over`: a temporary file of a killed process; `foreign`: a link, pipe or device."""
ARTIFACT_NAMES = ("composer", "generator", "inpainter", "critic")


@dataclass(frozen=True)
class FileCondition:
    """What a file of a run is like.

    Attributes:
        name: Path below the run.
        condition: Whether it can be used.
        reason: What is wrong; empty for "ok".
    """

    name: str
    condition: Condition
    reason: str = ""


@dataclass(frozen=True)
class RunVerification:
    """The result for a run.

    Attributes:
        files: Every file, sorted by name.
        usable: What can be saved, most valuable first, in sentences that name the command.
    """

    files: Sequence[FileCondition]
    usable: Sequence[str]

    @property
    def is_whole(self) -> bool:
        """Whether no file is damaged or foreign."""
        return all(file.condition in ("ok", "torn", "left over") for file in self.files)

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON."""
        files = {file.name: file.condition + (f": {file.reason}" if file.reason else "") for file in self.files}
        return {"whole": self.is_whole, "files": files, "usable": list(self.usable)}


def verify_run(run: Run) -> RunVerification:
    """Read every file of a run or comparison, and compare tensors and cards with their hashes.

    Raises:
        ResourceError: Memory or open files gave out.
    """
    files = [_examine(run, path) for path in _list_entries(run.path)]
    return RunVerification(files, _describe_usable(run, {file.name for file in files if file.condition in ("ok", "torn")}))


def _list_entries(folder: Path) -> Iterator[Path]:
    """Yield everything below a folder that is not a folder, links included but not followed."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        for name in sorted([*names, *links]):
            if name != LOCK_FILE:
                yield Path(parent) / name


def _examine(run: Run, path: Path) -> FileCondition:
    name = str(path.relative_to(run.path))
    if path.name.startswith(".") and path.name.endswith(TEMPORARY_SUFFIX):
        return FileCondition(name, "left over", "of a process that writes now" if is_locked(run.path) else "of a killed process; a resume removes it")
    if path.is_symlink() or not path.is_file():
        return FileCondition(name, "foreign", "not a regular file of the run; replace it by a copy, or remove it")
    try:
        if path.suffix == ".safetensors":
            _check_tensors(run, path)
        elif path.suffix == ".jsonl":
            return _examine_log(run, path, name)
        else:
            _check_content(run, path)
    except (MitlganError, UnreadableImageError, OSError, ValueError, RecursionError) as error:
        raise_resource_fault(error, str(path))
        return FileCondition(name, "damaged", str(error).removeprefix(f"{path}: "))
    return FileCondition(name, "ok")


def _check_tensors(run: Run, path: Path) -> None:
    """Check the tensors' hash and, of an artifact, that they fit the card in the file and the one next to it."""
    header = read_tensors(path, root=run.path)[1]
    if path.stem not in ARTIFACT_NAMES:
        return
    load_network(path)
    card = path.with_name(CARD_FILE)
    if not card.is_file():
        raise ArtifactError(f"{path}: its {CARD_FILE} is missing; a resume writes it")
    if json.loads(read_bytes(card, root=run.path)).get("tensors_sha256") != (header.get("whole_sha256") or header["tensors_sha256"]):
        raise ArtifactError(f"{path}: its {CARD_FILE} is of other tensors; a resume writes it")


def _check_content(run: Run, path: Path) -> None:
    content = read_bytes(path, root=run.path)
    if path.name == "recipe.toml":
        run.recorded_recipe()
    elif path.suffix == ".json":
        json.loads(content)
    elif path.suffix == ".png":
        decode_bytes(content, keep_alpha=True)
    elif not content:
        raise DataError(f"{path}: is empty")


def _examine_log(run: Run, path: Path, name: str) -> FileCondition:
    """Check every line of a log; only the last may be torn."""
    lines = read_bytes(path, root=run.path).split(b"\n")
    for number, line in enumerate(lines[:-1], start=1):
        try:
            is_object = isinstance(json.loads(line), dict)
        except (ValueError, RecursionError):
            is_object = False
        if not is_object:
            return FileCondition(name, "damaged", f"line {number} is not a JSON object; what follows is not read")
    return FileCondition(name, "torn", f"half a line {len(lines)}; a resume removes it") if lines[-1] else FileCondition(name, "ok")


def _describe_usable(run: Run, whole: set[str]) -> list[str]:
    """Return what can be saved, the most valuable first."""
    sentences = []
    artifacts = [name for name in sorted(whole) if Path(name).suffix == ".safetensors" and Path(name).stem in ARTIFACT_NAMES]
    finished = next((name for name in artifacts if "/" not in name), None)
    if finished is not None:
        sentences.append(f"the artifact {finished}" + ("" if run.is_finished else ", though the run has not ended since"))
    checkpoints = [name for name in sorted(whole) if name.startswith(f"checkpoints{os.sep}") and name.endswith(".safetensors")]
    if checkpoints and "recipe.toml" in whole:
        iteration = int(Path(checkpoints[-1]).stem)
        sentences.append(
            f"the training up to iteration {iteration}: `{command_line(['resume', run.path])}` continues it, with --end it becomes an artifact"
        )
    elif checkpoints:
        sentences.append(f"the training in {checkpoints[-1]}, once recipe.toml is put back: its header holds the recipe")
    others = [name for name in artifacts if name != finished]
    if others:
        sentences.append(f"artifacts on the way: {', '.join(others)}")
    return sentences


def require_run(path: Path) -> Run:
    """Return the run or comparison in a directory, although its recipe may be missing.

    Raises:
        UsageError: The directory holds nothing of a run.
    """
    names = ("recipe.toml", "status.json", "checkpoints", "stats.jsonl")
    if not any((path / name).exists() for name in names):
        raise UsageError(f"--run {path}: not a run directory; see `mitlgan runs ls`")
    return Run(path)
