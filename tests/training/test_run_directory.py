"""Run directories: names, state, full disks, locks."""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
import signal
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
from helpers import crashes
from helpers.unprivileged import unprivileged
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mitlgan.errors import DataError, ResourceError, UsageError
from mitlgan.runtime.files import lock_folder
from mitlgan.runtime.json_files import JsonlWriter, read_json, read_json_to_extend, read_jsonl, truncate_jsonl
from mitlgan.training import run_directory
from mitlgan.training.run_directory import Run, create_run, list_runs


def begun(root: Path, name: str = "tiny", command: str = "pretrain") -> Run:
    """A run with a recipe."""
    run = create_run(root, command, name)
    run.recipe_file.write_text("")
    return run


def test_a_run_appears_with_its_first_files_and_a_killed_one_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(run_directory, "_move_to_next_number", lambda staging, parent, name: os.kill(os.getpid(), signal.SIGKILL))
        process = os.fork()
        if process == 0:
            create_run(tmp_path, "pretrain", "tiny", {"recipe.toml": "x"})
        assert os.waitpid(process, 0)[1] == signal.SIGKILL
    (left,) = (tmp_path / "pretrain").iterdir()
    assert left.name.startswith(".tiny.")
    assert list_runs(tmp_path) == []
    other = create_run(tmp_path, "pretrain", "other", {"recipe.toml": "y"})
    assert left.exists()  # its process may be alive
    os.utime(left, (0, 0))
    with lock_folder(left):
        create_run(tmp_path, "pretrain", "other")
        assert left.exists()
    os.utime(left, (0, 0))
    run = create_run(tmp_path, "pretrain", "tiny", {"recipe.toml": "x"})
    assert run.recipe_file.read_text() == "x"
    assert sorted(path.name for path in (tmp_path / "pretrain").iterdir()) == ["other-001", "other-002", "tiny-001"]
    assert other.recipe_file.read_text() == "y"


def test_each_run_has_its_own_directory(tmp_path: Path) -> None:
    paths = [create_run(tmp_path, "pretrain", "tiny").path for _ in range(3)]
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [f"pretrain/tiny-00{number}" for number in (1, 2, 3)]
    assert sorted(path.name for path in paths[0].iterdir()) == [".lock", "checkpoints", "snapshots"]
    assert create_run(tmp_path, "compose", "tiny").path.name == "tiny-001"
    assert create_run(tmp_path, "pretrain", "tiny-x").path.name == "tiny-x-001"


def test_a_number_is_never_used_twice(tmp_path: Path) -> None:
    """Not after a removal in the middle, nor past 999, nor beside a file or another name."""
    parent = tmp_path / "pretrain"
    for name in ("tiny-002", "tiny-1041", "tiny-x", "tinyx-2000", "tiny-3000-copy"):
        (parent / name).mkdir(parents=True)
    assert create_run(tmp_path, "pretrain", "tiny").path.name == "tiny-1042"
    (parent / "file-007").touch()
    assert create_run(tmp_path, "pretrain", "file").path.name == "file-008"


def test_names_with_signs_of_patterns(tmp_path: Path) -> None:
    assert [create_run(tmp_path, "pretrain", "a.b").path.name for _ in range(2)] == ["a.b-001", "a.b-002"]
    (tmp_path / "pretrain" / "axb-009").mkdir()
    assert create_run(tmp_path, "pretrain", "a.b").path.name == "a.b-003"


def test_a_number_that_another_process_took_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        create_run(tmp_path, "pretrain", "tiny")
    monkeypatch.setattr(Path, "iterdir", lambda _: iter(()))  # what the folder held when it was looked at
    assert create_run(tmp_path, "pretrain", "tiny").path.name == "tiny-003"


def test_a_run_is_known_by_its_recipe(tmp_path: Path) -> None:
    run = begun(tmp_path)
    assert run_directory.open_run(run.path) == run
    for place in (tmp_path, tmp_path / "absent", create_run(tmp_path, "pretrain", "tiny").path):
        with pytest.raises(UsageError, match=rf"^{place}: not a run directory \(it has no recipe\.toml\); see `mitlgan runs ls`$"):
            run_directory.open_run(place)
    step = run.path.with_name(f"{run.path.name}@500")
    with pytest.raises(UsageError, match=rf"^{step}: one step of a run; name the run without it; see `mitlgan runs ls`$"):
        run_directory.open_run(step)


def test_the_last_written_run_is_found_last(tmp_path: Path) -> None:
    first, second, third = (begun(tmp_path, name, command) for name, command in (("a", "pretrain"), ("b", "compose"), ("c", "pretrain")))
    create_run(tmp_path, "pretrain", "no-recipe")
    for run, at in ((third, 100), (first, 200), (second, 300)):
        run.write_status({"state": "done"})
        os.utime(run.path / "status.json", (at, at))
    assert run_directory.list_runs(tmp_path) == [third, first, second]
    assert run_directory.list_runs(tmp_path, "pretrain") == [third, first]
    assert run_directory.list_runs(tmp_path / "absent") == []


def test_comparisons_are_known_beside_runs(tmp_path: Path) -> None:
    run, comparison = begun(tmp_path), create_run(tmp_path, "compare", "tiny")
    for place, at in ((comparison, 100), (run, 200)):
        place.write_status({"state": "done", "command": place.path.parent.name})
        os.utime(place.path / "status.json", (at, at))
    assert run_directory.list_runs(tmp_path) == [run]
    assert run_directory.list_all(tmp_path) == [comparison, run]
    assert (run.is_comparison, comparison.is_comparison) == (False, True)
    assert [run_directory.open_any(place.path) for place in (run, comparison)] == [run, comparison]
    (tmp_path / "compare" / "other").mkdir()
    (tmp_path / "compare" / "other" / "status.json").write_text("{}")
    assert len(run_directory.list_all(tmp_path)) == 2
    for place in (tmp_path, tmp_path / "compare" / "other"):
        with pytest.raises(UsageError, match="not a run directory"):
            run_directory.open_any(place)
    with pytest.raises(UsageError, match="not a run directory"):
        run_directory.open_run(comparison.path)  # nothing can resume it, or take it for a composition
    assert comparison.report_file is None
    (comparison.path / "report.html").touch()
    assert comparison.report_file == comparison.path / "report.html"


def test_a_run_that_says_running_while_nobody_holds_it_was_killed(tmp_path: Path, children: ForkServerContext) -> None:
    run = begun(tmp_path)
    assert run.read_state() == "empty"
    for state in run_directory.STATES[1:]:
        run.write_status({"state": state})
        assert run.read_state() == state
    receiver, sender = children.Pipe(duplex=False)
    child = children.Process(target=crashes.hold, args=(run.path, sender))
    child.start()
    try:
        assert receiver.poll(60)
        run.write_status({"state": "running"})
        assert run.read_state() == "running"
    finally:
        child.kill()
        child.join(60)
    assert run.read_state() == run_directory.KILLED == "stopped (killed)"
    assert run.read_status() == {"state": "running"}  # looking changes nothing
    (run.path / ".lock").unlink()
    assert run.read_state() == run_directory.KILLED


def test_a_run_that_ends_while_it_is_looked_at_was_not_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begun(tmp_path)
    run.write_status({"state": "running"})

    def ended(_: Path) -> bool:
        run.write_status({"state": "done"})
        return False

    monkeypatch.setattr(run_directory, "is_locked", ended)
    assert run.read_state() == "done"


@pytest.mark.parametrize("at", [1, 3])
def test_a_removal_that_is_interrupted_leaves_no_half_of_a_run(at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = create_run(tmp_path, "pretrain", "tiny", {"recipe.toml": "x", "stats.jsonl": "", "status.json": '{"state": "done"}'})
    real, count = os.unlink, itertools.count(1)

    def interrupted(*arguments: Any, **options: Any) -> None:
        if next(count) == at:
            raise KeyboardInterrupt
        real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_directory.remove_run(run)
    assert run_directory.list_all(tmp_path) == []
    (left,) = (tmp_path / "pretrain").iterdir()
    os.utime(left, (0, 0))
    assert create_run(tmp_path, "pretrain", "other").path.parent == left.parent
    assert not left.exists()


def test_a_run_that_cannot_be_removed_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begun(tmp_path)

    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(ResourceError, match=f"^{run.path}: cannot be written"):
        run_directory.remove_run(run)
    assert [path.name for path in run.path.parent.iterdir()] == [run.path.name]


def test_a_run_is_removed_from_within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begun(tmp_path)
    monkeypatch.chdir(run.path)
    run_directory.remove_run(Run(Path()))
    assert list(run.path.parent.iterdir()) == []


def test_removed_whole(tmp_path: Path) -> None:
    run = begun(tmp_path)
    (run.path / "checkpoints" / "000000001.safetensors").touch()
    run_directory.remove_run(run)
    assert not run.path.exists()
    with pytest.raises(ResourceError, match="No such file or directory"):
        run_directory.remove_run(run)


def test_the_artifact_of_a_run(tmp_path: Path) -> None:
    run = begun(tmp_path)
    assert run.artifact_file is None
    (run.path / "generator.safetensors").touch()
    assert run.artifact_file == run.path / "generator.safetensors"
    (run.path / "composer.safetensors").touch()
    assert run.artifact_file == run.path / "composer.safetensors"


def test_status(tmp_path: Path) -> None:
    run = begun(tmp_path)
    assert run.read_status() == {}
    run.write_status({"state": "running", "kimg": 1.5})
    assert run.read_status() == {"state": "running", "kimg": 1.5}
    for broken in ("", "{", "[1]", "null", "\udcff"):
        (run.path / "status.json").write_text(broken, errors="surrogateescape")
        assert run.read_status() == {}
        assert read_json(run.path / "status.json") == {}


# Row 15: statistics


LINES = [{"iteration": number, "loss": number / 3} for number in range(1, 6)]


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def as_text(lines: list[dict[str, float]]) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)


def test_lines_are_appended_and_read(tmp_path: Path) -> None:
    path = tmp_path / "stats.jsonl"
    for part in (LINES[:2], LINES[2:]):
        writer = JsonlWriter(path)
        for line in part:
            writer.write(line)
        writer.flush()
        assert list(read_jsonl(path))[-1] == part[-1]
        writer.close()
    assert list(read_jsonl(path)) == LINES
    assert path.read_text() == as_text(LINES)
    assert list(read_jsonl(tmp_path / "absent.jsonl")) == []


@pytest.mark.parametrize("torn", ['{"iteration": 6, "lo', "{", '"', "\x00\x00\x00", "3\n", "[]\n", "\udcff\udcfe\n"])
def test_row_15_a_torn_line_is_left_out(torn: str, tmp_path: Path) -> None:
    path = tmp_path / "stats.jsonl"
    path.write_bytes(as_text(LINES).encode() + torn.encode("utf-8", "surrogateescape"))
    assert list(read_jsonl(path)) == LINES
    truncate_jsonl(path, 100)
    assert path.read_text() == as_text(LINES)


@pytest.mark.parametrize("damage", [b"\0" * 30, b'{"iteration": ', b"[]", b"\xff", b'{"iteration": NaN}', b'{"iteration": 1%b}' % (b"0" * 400), b""])
@pytest.mark.parametrize("iteration", [2, 100])
def test_row_15_a_damaged_line_takes_none_of_the_whole_ones_after_it_along(tmp_path: Path, damage: bytes, iteration: int) -> None:
    lines = as_text(LINES).encode().splitlines(keepends=True)
    path = tmp_path / "stats.jsonl"
    path.write_bytes(b"".join([lines[0], damage + b"\n", *lines[1:3], damage + b"\n", damage + b"\n", *lines[3:], damage]))
    remarks: list[str] = []
    truncate_jsonl(path, iteration, remarks.append)
    assert path.read_bytes() == b"".join(lines[:iteration])
    many = {2: "1 damaged line is", 100: "3 damaged lines are"}[iteration]
    assert remarks == [f"{path}: {many} left out; all others stay"]


CONTENT = [b'{"a": 1', b"[]", b"\0" * 9, b"\xff", b"[" * 100_000, b"", None]


@pytest.mark.parametrize("content", CONTENT, ids=range(len(CONTENT)))
def test_only_an_absent_file_is_extended_from_nothing(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "file.json"
    if content is None:
        assert read_json_to_extend(path) == read_json_to_extend(path / "below") == {}
        return
    path.write_bytes(content)
    assert read_json(path) == {}
    with pytest.raises(DataError, match=f"^{path}: is damaged or cannot be read, so that what it holds would be lost; mend it, or remove it$"):
        read_json_to_extend(path)


@pytest.mark.parametrize("iteration", range(7))
def test_row_15_lines_ahead_of_the_checkpoint_are_cut(iteration: int, tmp_path: Path) -> None:
    path = written(tmp_path / "stats.jsonl", as_text(LINES))
    truncate_jsonl(path, iteration)
    assert path.read_text() == as_text(LINES[:iteration])


def test_row_15_a_whole_line_without_its_end_is_cut(tmp_path: Path) -> None:
    """What is appended next would otherwise stand on the same line."""
    path = written(tmp_path / "stats.jsonl", as_text(LINES)[:-1])
    truncate_jsonl(path, 100)
    assert path.read_text() == as_text(LINES[:-1])


def test_row_15_no_statistics_no_cut(tmp_path: Path) -> None:
    truncate_jsonl(tmp_path / "absent.jsonl", 3)
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(end=st.integers(0, len(as_text(LINES))), junk=st.binary(max_size=20), iteration=st.integers(0, 6))
def test_property_after_a_cut_only_whole_lines_up_to_the_iteration_stay(tmp_path: Path, end: int, junk: bytes, iteration: int) -> None:
    path = tmp_path / "stats.jsonl"
    path.write_bytes(as_text(LINES).encode()[:end] + junk)
    truncate_jsonl(path, iteration)
    left = path.read_bytes()
    assert left in {as_text(LINES[:count]).encode() for count in range(iteration + 1)} or b"iteration" in junk
    assert len(left) >= len(as_text([line for line in LINES[:iteration] if len(as_text(LINES[: int(line["iteration"])])) <= end]))


# Rows 5, 6, 7


def test_row_5_no_room_for_a_line(small_disk: Path) -> None:
    path = small_disk / "stats.jsonl"
    writer = JsonlWriter(path)
    writer.write({"iteration": 1})
    writer.flush()
    (small_disk / "ballast").write_bytes(bytes(2 * 2**20 - 4096))
    with pytest.raises(ResourceError, match=f"^{path}: no space left on the disk; free some, and run the same command again$") as caught:
        _write_until_refused(writer)
    assert caught.value.exit_code == 5
    (small_disk / "ballast").unlink()
    writer.close()
    whole = list(read_jsonl(path))
    assert [line["iteration"] for line in whole[:100]] == [*range(1, 101)]
    truncate_jsonl(path, 100)
    assert list(read_jsonl(path)) == whole[:100]


def _write_until_refused(writer: JsonlWriter) -> None:
    for number in range(2, 2000):
        writer.write({"iteration": number})
        writer.flush()


def test_row_6_a_place_that_cannot_be_written_is_refused() -> None:
    with unprivileged() as folder:
        (folder / "runs").mkdir(mode=0o555)
        with pytest.raises(ResourceError, match=r"cannot be written \(Permission denied\); choose another folder with --out") as caught:
            create_run(folder / "runs", "pretrain", "tiny")
        assert str(caught.value).startswith(str(folder / "runs"))
        assert list((folder / "runs").iterdir()) == []


def test_row_6_a_run_that_cannot_be_written_is_refused() -> None:
    with unprivileged() as folder:
        run = begun(folder)
        run.path.chmod(0o555)
        for attempt in (lambda: JsonlWriter(run.stats_file), lambda: run.write_status({})):
            with pytest.raises(ResourceError, match="Permission denied"):
                attempt()


def test_row_7_a_run_that_another_process_works_on_is_not_resumed(tmp_path: Path, children: ForkServerContext) -> None:
    import torch

    from mitlgan.runtime.distributed import World
    from mitlgan.runtime.progress import SilentReporter
    from mitlgan.stages.context import RunContext
    from mitlgan.stages.resume import resume

    run = begun(tmp_path)
    receiver, sender = children.Pipe(duplex=False)
    child = children.Process(target=crashes.hold, args=(run.path, sender))
    child.start()
    try:
        assert receiver.poll(60)
        before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
        with pytest.raises(ResourceError, match=f"^{run.path}: another process is working on it; wait for it, or choose another run$"):
            resume(run.path, RunContext(World(0, 1, torch.device("cpu")), SilentReporter(), tmp_path))
        assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before
    finally:
        child.kill()
        child.join(60)


@pytest.mark.parametrize("parent", ["runs", "runs/compare/x-001/arms"])
def test_a_run_of_mattes_is_that_of_the_same_mattes(parent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that an earlier version recorded with a relative path is it where the working folder is around it; elsewhere nothing says what it means."""
    from mitlgan.recipe import load_recipe, to_toml, with_full_mattes, with_overrides

    folder = {name: tmp_path / name for name in ("A", "B")}
    for path in folder.values():
        path.mkdir()
    recipe = with_overrides(load_recipe("recommended/compose-32"), data__source="demo", composer__placement__mattes="m.npy")
    recorded = {"relative": recipe, "full": with_full_mattes(recipe, folder["A"])}
    runs = {name: create_run(folder["A"] / parent, "compose", name, {"recipe.toml": to_toml(one)}) for name, one in recorded.items()}
    for here in "AB":
        monkeypatch.chdir(folder[here])
        for run in runs.values():
            wanted = {name: with_full_mattes(recipe, path) for name, path in folder.items()}
            fits = {name: run_directory.is_run_of(run, one, None) for name, one in (*wanted.items(), ("here", recipe))}
            assert fits == {"A": here == "A" or run == runs["full"], "B": False, "here": here == "A"}
            assert not run_directory.is_run_of(run, with_overrides(recipe, composer__placement__mattes="scenes"), None)


def test_a_run_that_was_removed_is_not_made_again_by_its_status(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="the folder is gone"):
        Run(tmp_path / "gone").write_status({"state": "running"})
    assert not list(tmp_path.iterdir())
