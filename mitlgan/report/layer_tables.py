"""The layers of networks as tables, such as a thesis prints them (Élő 2021, Tables 7.1 to 7.3): as text, Markdown and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mitlgan.report.markdown import table_lines
from mitlgan.report.table import Table, TableRow
from mitlgan.report.table_files import latex_text

HEADINGS = ("Layer", "Output", "Parameters", "Normalization", "Dropout", "Activation")
NONE = "-"
NAMES = {
    "Linear": "Dense", "Conv2d": "Convolution", "ConvTranspose2d": "Transposed convolution", "Upsample": "Upsampling", "Unflatten": "Reshape",
}  # fmt: skip
NORMALIZATIONS = {"BatchNorm1d": "Batch", "BatchNorm2d": "Batch", "InstanceNorm2d": "Instance", "LayerNorm": "Layer"}
ACTIVATIONS = ("LeakyReLU", "ReLU", "Tanh", "Sigmoid", "ELU", "SiLU", "GELU")
DROPOUTS = ("Dropout", "Dropout2d")
CONCATENATE = "Concatenate"
OTHER = "Other"
"""Parameters and buffers that blocks hold next to their layers: biases and noise of a style generator, its constant, fitted numbers of a placement."""
SEVERAL = "fusion and translator"


@dataclass(frozen=True)
class LayerRow:
    """One row: a block that computes, with what follows it.

    Attributes:
        layer: What it is, with its kernel.
        output: Shape for one image.
        parameters: With those of its normalization.
        normalization: Its kind; empty if there is none.
        dropout: Its rate.
        activation: Its function.
    """

    layer: str
    output: tuple[int, ...]
    parameters: int = 0
    normalization: str = ""
    dropout: str = ""
    activation: str = ""

    def cells(self) -> list[str]:
        """Return the row in words."""
        followers = (self.normalization, self.dropout, self.activation)
        return [self.layer, shape_text(self.output), f"{self.parameters:,}", *(text or NONE for text in followers)]

    def box(self) -> tuple[str, str]:
        """Return title and detail of a box in a diagram."""
        followers = [self.normalization and f"{self.normalization} norm", self.activation, self.dropout and f"dropout {self.dropout}"]
        title = ", ".join([self.layer, *filter(None, followers)])
        return title, shape_text(self.output) + (f"; {self.parameters:,} parameters" if self.parameters else "")


@dataclass(frozen=True)
class LayerTable:
    """The layers of one network.

    Attributes:
        title: Its name.
        rows: In order of execution.
        parameters: All, with BatchNorm's running statistics.
        trainable: Those that are trained.
    """

    title: str
    rows: Sequence[LayerRow]
    parameters: int
    trainable: int

    @property
    def is_frozen(self) -> bool:
        """Whether it has parameters, and none is trained."""
        return self.parameters > 0 and not self.trainable

    @property
    def printed_rows(self) -> list[LayerRow]:
        """The rows, and one for what belongs to no single layer, so that they add up to the parameters."""
        rest = self.parameters - sum(row.parameters for row in self.rows)
        return [*self.rows, *([LayerRow(OTHER, (), rest)] if rest else [])]

    @property
    def caption(self) -> str:
        """Name and totals."""
        frozen = ", frozen" if self.is_frozen else ""
        return f"{self.title}{frozen}: {self.parameters:,} parameters, {self.trainable:,} trainable"


def layer_tables(description: Mapping[str, Any]) -> list[LayerTable]:
    """Return a table for each network of a description; fusion and translator of a composition share one, as in the thesis.

    Args:
        description: As `mitlgan.artifacts.summary.describe_recipe` returns it.
    """
    parts = dict(description["networks"])
    joined = [parts.pop(name) for name in ("fusion", "translator") if "joint" in description and name in parts]
    tables = [LayerTable(name, layer_rows(part["rows"]), part["parameters"], part["trainable"]) for name, part in parts.items()]
    if joined:
        joint = description["joint"]
        name = CONCATENATE if joint["name"] == "concatenation" else joint["name"].capitalize()
        rows = [LayerRow(name, tuple(joint["output"])), *layer_rows([row for part in joined for row in part["rows"]], with_input=False)]
        sums = (sum(part[key] for part in joined) for key in ("parameters", "trainable"))
        tables.insert(len(tables) - ("critic" in parts), LayerTable(SEVERAL, rows, *sums))
    return tables


def layer_rows(blocks: Sequence[Mapping[str, Any]], *, with_input: bool = True) -> list[LayerRow]:
    """Return one row for each block that computes; normalization, activation and dropout belong to the block before them.

    Where a block gets more channels than the one before it made, earlier features were concatenated.

    Args:
        blocks: Rows of a description.
        with_input: Whether the input is a row.
    """
    rows: list[LayerRow] = []
    first = next(iter(blocks), None)
    if with_input and first is not None and first.get("input"):
        rows.append(LayerRow("Input", tuple(first["input"])))
    owner = ""
    for block in blocks:
        stage = str(block["name"]).rpartition(".")[0]
        kind = str(block["type"]).removeprefix("Parametrized")
        before, got = rows[-1].output if rows else (), tuple(block.get("input") or ())
        follows = bool(rows) and stage == owner and got == before
        if follows and (merged := _with_follower(rows[-1], kind, block)) is not None:
            rows[-1] = merged
            continue
        if kind == "Identity" or not block["output"]:
            continue
        if len(got) == len(before) == 3 and got[1:] == before[1:] and got[0] > before[0]:
            rows.append(LayerRow(CONCATENATE, got))
        rows.append(_own_row(kind, block))
        owner = stage
    return rows


def _with_follower(row: LayerRow, kind: str, block: Mapping[str, Any]) -> LayerRow | None:
    """Return a row with what follows it in its column; None if that is no such block, or the column is taken."""
    values = {"normalization": row.normalization, "dropout": row.dropout, "activation": row.activation}
    if kind in NORMALIZATIONS and not row.normalization:
        values["normalization"] = NORMALIZATIONS[kind] + (" (after)" if row.activation else "")
    elif kind in ACTIVATIONS and not row.activation:
        values["activation"] = _with_setting(kind, block)
    elif kind in DROPOUTS and not row.dropout:
        values["dropout"] = str(block["setting"])
    elif kind != "Identity":
        return None
    return LayerRow(row.layer, row.output, row.parameters + int(block["parameters"]), **values)


def _own_row(kind: str, block: Mapping[str, Any]) -> LayerRow:
    if kind in NORMALIZATIONS:
        return LayerRow("Normalization", tuple(block["output"]), int(block["parameters"]), normalization=NORMALIZATIONS[kind])
    if kind in ACTIVATIONS:
        return LayerRow("Activation", tuple(block["output"]), activation=_with_setting(kind, block))
    name = NAMES.get(kind) or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).capitalize()
    return LayerRow(_with_setting(name, block), tuple(block["output"]), int(block["parameters"]))


def _with_setting(name: str, block: Mapping[str, Any]) -> str:
    return f"{name} {block['setting']}".rstrip()


def shape_text(shape: Sequence[int]) -> str:
    """Return a shape in words, such as `48 x 64 x 64`."""
    return " x ".join(map(str, shape)) or NONE


def tables_text(tables: Sequence[LayerTable]) -> str:
    """Return the tables as text with aligned columns."""
    blocks = []
    for table in tables:
        lines = [list(HEADINGS), *(row.cells() for row in table.printed_rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
        texts = ["  ".join(_aligned(cell, width, column) for column, (cell, width) in enumerate(zip(line, widths, strict=True))) for line in lines]
        texts = [text.rstrip() for text in texts]
        blocks.append("\n".join([table.caption, texts[0], "-" * (sum(widths) + 2 * (len(widths) - 1)), *texts[1:]]))
    return "\n\n".join(blocks)


def _aligned(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if HEADINGS[column] == "Parameters" else cell.ljust(width)


def tables_markdown(tables: Sequence[LayerTable]) -> str:
    """Return the tables as Markdown."""
    blocks = []
    for table in tables:
        rows = [TableRow(cells[0], "", cells[1:], None) for cells in map(LayerRow.cells, table.printed_rows)]
        blocks.append("\n".join(table_lines(Table(HEADINGS[0], HEADINGS[1:], rows, table.caption))))
    return "\n\n".join(blocks)


def tables_latex(tables: Sequence[LayerTable]) -> str:
    """Return the tables for a paper, each with its caption."""
    blocks = []
    for table in tables:
        rows = [" & ".join(map(_latex_cell, row.cells())) + r" \\" for row in table.printed_rows]
        heading = " & ".join(HEADINGS) + r" \\"
        blocks.append("\n".join([
            r"\begin{table}", r"\centering", r"\begin{tabular}{llrlll}", r"\hline", heading, r"\hline", *rows, r"\hline", r"\end{tabular}",
            rf"\caption{{{latex_text(table.caption)}}}", r"\end{table}",
        ]))  # fmt: skip
    return "\n\n".join(blocks)


def _latex_cell(cell: str) -> str:
    return re.sub(r"(?<=\d) ?x ?(?=\d)|(?<=\s)x(?=\d)", lambda match: r" $\times$ " if " " in match[0] else r"$\times$", latex_text(cell))
