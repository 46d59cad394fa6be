"""The layers of networks as a paper prints them, and the diagram of their structure."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from mitlgan.artifacts.summary import describe
from mitlgan.report.layer_tables import LayerRow, layer_tables, tables_latex, tables_markdown, tables_text
from mitlgan.report.structure_diagram import structure_diagram

# Élő 2021, Table 7.3, with the sum that the printed total needs where 295,168 is printed.
TRANSLATOR = [
    ("Concatenate", 0), ("1x1", 21), ("7x7", 9_600), ("3x3, stride 2", 74_112), ("3x3, stride 2", 295_680), ("3x3", 590_592), ("3x3", 590_592),
    *[row for block in range(2, 7) for row in (("Concatenate", 0), ("3x3", 589_824 * block + 768), ("3x3", 590_592))],
    ("Concatenate", 0), ("x2", 0), ("3x3", 2_064_768), ("x2", 0), ("3x3", 73_920), ("7x7", 9_417),
]  # fmt: skip


def test_the_thesis_tables() -> None:
    front, back, joined, critic = layer_tables(describe("thesis/compose"))
    assert [table.title for table in (front, back, joined, critic)] == ["layer fg", "layer bg", "fusion and translator", "critic"]
    assert [table.is_frozen for table in (front, back, joined, critic)] == [True, True, False, False]
    assert [(row.layer.removeprefix("Convolution ").removeprefix("Upsampling "), row.parameters) for row in joined.rows] == TRANSLATOR
    assert (joined.parameters, joined.trainable, front.parameters, critic.trainable) == (18_461_982, 18_461_982, 2_421_054, 2_448_097)
    assert joined.rows[0].output == (6, 128, 128)
    assert [row.output[0] for row in joined.rows if row.layer == "Concatenate"] == [6, 512, 768, 1024, 1280, 1536, 1792]
    assert (joined.rows[5].normalization, joined.rows[5].activation) == ("Instance", "")  # block 1: no ReLU is printed
    (generator, _) = layer_tables(describe("thesis/wgan"))  # Table 7.1
    assert [row.parameters for row in generator.rows if row.parameters] == [2_365_440, 41_664, 10_464, 2_640, 672, 174]
    assert generator.rows[1] == LayerRow("Dense", (1536,), 2_365_440, "Batch", "", "LeakyReLU 0.2")
    assert [row.dropout for row in critic.rows] == ["", "", "", "0.3", "", "0.3", ""]  # Table 7.2


def test_what_follows_a_block_and_what_does_not() -> None:
    generator, critic = layer_tables(describe("classic/akel-02"))
    assert critic.rows[2] == LayerRow("Convolution 3x3, stride 2", (64, 7, 7), 18_752, "Batch (after)", "0.25", "LeakyReLU 0.2")
    assert sum(row.parameters for row in generator.rows) == generator.parameters
    fused = layer_tables(describe("recommended/compose-32"))[2]
    assert fused.rows[0] == LayerRow("Blending by mattes", (3, 32, 32))


def test_each_form_has_every_row() -> None:
    tables = layer_tables(describe("thesis/compose"))
    count = sum(len(table.rows) for table in tables)
    text, markdown, latex = tables_text(tables), tables_markdown(tables), tables_latex(tables)
    assert "Convolution 3x3  48 x 8 x 8         41,664  Batch          -        LeakyReLU 0.2" in text.splitlines()
    assert len([line for line in text.splitlines() if "  " in line]) == count + len(tables)
    assert "| Convolution 1x1 | 3 x 128 x 128 | 21 | - | - | ReLU |" in markdown.splitlines()
    assert len([line for line in markdown.splitlines() if line.startswith("| ")]) == count + len(tables)
    assert r"Convolution 1$\times$1 & 3 $\times$ 128 $\times$ 128 & 21 & - & - & ReLU \\" in latex.splitlines()
    assert latex.count(r"\\") == count + len(tables)
    assert latex.count(r"\caption{fusion and translator: 18,461,982 parameters, 18,461,982 trainable}") == 1


def test_the_diagram_of_a_composition() -> None:
    svg = structure_diagram(describe("thesis/compose"))
    elements = list(ElementTree.fromstring(svg).iter())
    words = [element.text for element in elements if element.tag.endswith("text")]
    for heading in ("layer fg (frozen)", "layer bg (frozen)", "fusion and translator", "critic"):
        assert heading in words
    assert words.index("Concatenate") < words.index("Convolution 1x1, ReLU") < words.index("Convolution 7x7, Instance norm, ReLU")
    boxes = [element for element in elements if element.tag.endswith("rect") and element.get("rx")]
    frozen = [element for element in boxes if element.get("class") == "frozen"]
    tables = layer_tables(describe("thesis/compose"))
    assert (len(boxes), len(frozen)) == (sum(len(table.rows) for table in tables), len(tables[0].rows) + len(tables[1].rows))
    rails = [element.get("d", "") for element in elements if element.tag.endswith("path") and element.get("d", "").count("H") == 2]
    starts, ends = zip(*((path.partition(" ")[0], path.rpartition("H")[2]) for path in rails), strict=True)
    assert len(set(starts)) == 3  # both layers and the translator
    assert ends[0] == ends[1] != ends[2]  # both layers lead to the concatenation, its translator to the critic


@pytest.mark.parametrize(
    "name", ["classic/style-64", "recommended/compose-32", "recommended/three-32", "thesis/compose", "thesis/wgan", "classic/akel-02"]
)
def test_rows_add_up_to_the_caption(name: str) -> None:
    for table in layer_tables(describe(name)):
        assert sum(row.parameters for row in table.printed_rows) == table.parameters
        assert [row.layer for row in table.printed_rows].count("Other") <= 1
        if name.startswith("thesis"):
            assert table.printed_rows == list(table.rows)
