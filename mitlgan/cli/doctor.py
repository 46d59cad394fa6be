"""`mitlgan doctor`: what this machine offers, or whether a run is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import print_result


def doctor(
    run: Annotated[Path | None, typer.Option("--run", metavar="RUN", help="Verify every file and hash of a run, and say what can be saved.")] = None,
    as_json: options.Json = False,
) -> None:
    """Check this machine: device, speed, what is missing."""
    if run is not None:
        _verify(run, as_json)
        return
    from mitlgan.doctor import examine

    facts = examine()
    print_result(as_json, facts, "\n".join(f"{key:<24} {value}" for key, value in facts.items()))


def _verify(path: Path, as_json: bool) -> None:
    """Print what each file of a run is like; end with 4 if one is damaged."""
    from mitlgan.errors import ArtifactError, to_one_line
    from mitlgan.training.run_verification import require_run, verify_run

    result = verify_run(require_run(path))
    lines = [to_one_line(f"{file.condition:<10} {file.name}{f': {file.reason}' if file.reason else ''}") for file in result.files]
    saved = [f"can be saved: {to_one_line(sentence)}" for sentence in result.usable] or ["nothing can be saved"]
    print_result(as_json, {"run": str(path), **result.to_json()}, "\n".join([*lines, *saved]))
    if not result.is_whole:
        bad = [file.name for file in result.files if file.condition in ("damaged", "foreign")]
        raise ArtifactError(
            f"--run {path}: {len(bad)} of {len(result.files)} files cannot be used: {', '.join(bad[:3])}{' ...' if len(bad) > 3 else ''}"
        )
