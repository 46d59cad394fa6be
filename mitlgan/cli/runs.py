"""`mitlgan runs ls|rm`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mitlgan.cli import options
from mitlgan.cli.output import print_result
from mitlgan.runtime.command_line import command_line

if TYPE_CHECKING:
    from mitlgan.training.run_directory import Run

RUNS = Path("runs")


app = options.group("List and remove runs.")


@app.command("ls")
def runs_ls(out: options.Out = RUNS, as_json: options.Json = False) -> None:
    """List runs and comparisons, the newest last."""
    from mitlgan.errors import to_one_line
    from mitlgan.training import run_directory

    rows = [_run_row(run) for run in run_directory.list_all(out)]
    lines = [to_one_line(f"{row['run']:<44} {row['state']:<16} {_length(row)}{_remarks(row)}") for row in rows]
    print_result(as_json, {"runs": rows}, "\n".join(lines) if lines else _describe_none(out))


@app.command("rm")
def runs_rm(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the run or comparison, as `runs ls` names it.")], as_json: options.Json = False
) -> None:
    """Delete a run or a comparison that no process uses."""
    from mitlgan.runtime.files import lock_folder
    from mitlgan.training import run_directory

    target = run_directory.open_any(run)
    with lock_folder(target.path):
        run_directory.remove_run(target)
    print_result(as_json, {"removed": str(run)}, f"{run}: removed")


def _describe_none(out: Path) -> str:
    from mitlgan.artifacts.known_artifacts import run_folders

    projects = [folder for folder in run_folders() if folder != RUNS] if out == RUNS else []
    return "\n".join(
        [f"no runs under {out}", *(f"those of a project of `make`: {command_line(['runs', 'ls', '--out', folder])}" for folder in projects)]
    )


def _run_row(run: Run) -> dict[str, Any]:
    status = run.read_status()
    return {
        "run": str(run.path),
        "state": run.read_state(),
        "kimg": None if run.is_comparison else float(status.get("kimg") or 0.0),
        "recipe": None if run.is_comparison else _recipe_name(run),
        "diagnosis": str(status.get("diagnosis") or ""),
        "artifact": str(run.artifact_file) if run.artifact_file else None,
        "report": str(run.report_file) if run.report_file else None,
    }


def _length(row: dict[str, Any]) -> str:
    return "comparison" if row["kimg"] is None else f"{row['kimg']:>10.1f} kimg"


def _recipe_name(run: Run) -> str:
    """Return the recipe's display name; empty if the file cannot be read."""
    from mitlgan.errors import UsageError
    from mitlgan.recipe import display_name

    try:
        return display_name(run.recorded_recipe())
    except UsageError:
        return ""


def _remarks(row: dict[str, Any]) -> str:
    """Return changed settings and the diagnosis, for the end of a row."""
    changed = row["recipe"] if row["recipe"] and ", changed: " in row["recipe"] else ""
    return "".join(f"  {remark}" for remark in (changed, row["diagnosis"]) if remark)
