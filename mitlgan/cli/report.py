"""`mitlgan report`: write the report of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import print_result


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run or a comparison, finished or not.")],
    form: Annotated[options.Form, typer.Option("--format", help="Print the report's path (html), or its numbers.")] = options.Form.html,
    as_json: options.Json = False,
) -> None:
    """Write the report of one run.

    Curves, pictures, and what the numbers say: collapse, divergence, the best step.
    """
    from mitlgan.errors import UsageError
    from mitlgan.report.html import report_paths
    from mitlgan.runtime.files import read_bytes

    findings: list[str] = []
    if (run / "report.html").is_file() and not (run / "recipe.toml").is_file():  # a comparison has written its own
        paths = report_paths(run)
    else:
        from mitlgan.report.run_report import write_run_report

        paths, findings = write_run_report(run)
    place: Path = getattr(paths, form.value)
    text = "\n".join([*findings, str(place)])
    if form is not options.Form.html:
        try:
            text = read_bytes(place, root=run).decode(errors="replace").rstrip("\n")
        except OSError as error:
            raise UsageError(f"{place}: cannot be read ({error.strerror}); make the comparison's report again by its own command") from None
    print_result(as_json, {"report": str(paths.html), "findings": findings}, text)
