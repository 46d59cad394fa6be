"""`mitlgan describe`: count parameters and multiply-accumulates."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import print_result


class Form(StrEnum):
    """How tables of layers are printed."""

    text = "text"
    md = "md"
    tex = "tex"


def describe(
    target: Annotated[str, typer.Argument(metavar="RECIPE|ARTIFACT", help="A recipe's name or file, an artifact, a run, or its step.")],
    layers: Annotated[bool, typer.Option("--layers", help="Print the table of each network's layers, as a paper would.")] = False,
    form: Annotated[Form, typer.Option("--format", help="Of these tables: text, md (Markdown) or tex (LaTeX).")] = Form.text,
    settings: options.Settings = None,
    as_json: options.Json = False,
) -> None:
    """Count parameters and multiply-accumulates.

    Of the networks of a recipe, an artifact or a run; with --layers also print their layers.
    """
    from mitlgan.artifacts.summary import describe as described
    from mitlgan.errors import UsageError, to_one_line

    if form is not Form.text and not layers:
        raise UsageError("--format: is of the tables that --layers prints; give --layers, too")
    values = described(target, settings or [])
    if layers:
        from mitlgan.report import layer_tables

        write = {Form.text: layer_tables.tables_text, Form.md: layer_tables.tables_markdown, Form.tex: layer_tables.tables_latex}[form]
        return print_result(as_json, values, write(layer_tables.layer_tables(values)))
    lines = [
        to_one_line(f"{values['name']}: {values['kind']}, {values['size_px']} px"),
        f"{'':<12}{'parameters':>14}{'trainable':>14}{'multiply-accumulates':>24}",
    ]
    critic = {name: part for name, part in values["networks"].items() if name == "critic"}
    parts = {name: part for name, part in values["networks"].items() if name not in critic}
    for name, part in {**parts, "total": values["total"], **critic}.items():  # the total is of what makes a picture
        lines.append(f"{name:<12}{part['parameters']:>14,}{part['trainable']:>14,}{part['multiply_accumulates']:>24,}")
    thesis = "like the thesis' generator of this size"
    lines += [f"layer {name}: {f'as {recipe} makes it' if recipe else thesis}" for name, recipe in values.get("layers", {}).items()]
    return print_result(as_json, values, "\n".join(lines))
