"""What ships in pretrained/: loads, says where it came from, and its figures in the README are those of its card."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import mitlgan
from mitlgan.artifacts.card import read_card
from mitlgan.artifacts.load_save import load_network, network_tensors
from mitlgan.artifacts.safetensors_io import read_tensors, tensors_sha256
from mitlgan.data.demo import demo_pack
from mitlgan.inpainting import make_filler, parse_hole, score_fillers
from mitlgan.inpainting.evaluate import describe_scores
from mitlgan.metrics.extractors.registry import open_extractor
from mitlgan.networks import Composer
from mitlgan.recipe import load_recipe, parse_recipe

INPAINTING_ROWS = (
    ("`context`, as drawn", "context", ""),
    ("`context`, blended", "context", "blended_"),
    ("OpenCV, Telea", "opencv", ""),
    ("OpenCV, Navier-Stokes", "opencv-ns", ""),
    ("mean colour", "mean", ""),
    ("mean colour, blended: the membrane", "mean", "blended_"),
)
PRETRAINED = Path(__file__).resolve().parent.parent / "pretrained"
ARTIFACTS = sorted({*PRETRAINED.glob("*/generator.safetensors"), *PRETRAINED.glob("*/composer.safetensors")})
INPAINTER = PRETRAINED / "context-32" / "inpainter.safetensors"


def test_both_layers_and_a_composition_ship_at_32_px() -> None:
    assert {"fg-32", "bg-32", "thesis-narrow-32"} <= {path.parent.name for path in ARTIFACTS}


@pytest.mark.parametrize("path", ARTIFACTS, ids=lambda path: path.parent.name)
def test_an_artifact_ships_with_card_grid_licence_and_figures(path: Path) -> None:
    network, card = load_network(path)
    beside = json.loads((path.parent / "card.json").read_text())
    assert beside["tensors_sha256"] == tensors_sha256(network_tensors(network))
    assert card.licence == "MIT"
    assert "CC0" in card.credit or "Microsoft" in card.credit
    assert card.data["source"] == "demo"
    assert card.metrics["frechet"]["value"] > 0
    with Image.open(path.parent / "grid.png") as grid:
        assert min(grid.size) >= 100
    sampled = mitlgan.load(path.parent).sample(range(8))
    assert sampled.shape == (8, card.image_channels, card.size_px, card.size_px)
    assert float(sampled.std(0).mean()) > 0.1, "the samples differ"


@pytest.mark.parametrize("path", ARTIFACTS, ids=lambda path: path.parent.name)
def test_the_figures_beside_an_artifact_are_its_cards(path: Path) -> None:
    card = read_card(path)
    (row,) = [line for line in (PRETRAINED / "README.md").read_text().splitlines() if line.startswith(f"| `{path.parent.name}` |")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1] == f"{card.kimg:.0f}"
    assert cells[2] == f"{card.metrics['frechet']['value']:.0f}"
    assert cells[3] == f"{card.metrics['kid']['value']:.3f}"


@pytest.mark.parametrize("path", [path for path in ARTIFACTS if path.name == "composer.safetensors"], ids=lambda path: path.parent.name)
def test_no_generator_ships_twice(path: Path) -> None:
    assert not [name for name in read_tensors(path)[0] if name.startswith("layers.")]


def test_the_composition_has_the_shipped_layers() -> None:
    network, card = load_network(PRETRAINED / "thesis-narrow-32" / "composer.safetensors")
    assert isinstance(network, Composer)
    for name in ("fg", "bg"):
        alone, _ = load_network(PRETRAINED / f"{name}-32" / "generator.safetensors")
        digest = tensors_sha256(network_tensors(alone))
        assert card.layers[name].sha256_before == card.layers[name].sha256_after == digest
        for key, tensor in network_tensors(network.generators[name]).items():
            assert torch.equal(tensor, network_tensors(alone)[key])


OWN = PRETRAINED / "README.md"
RESULTS = PRETRAINED.parent / "recipes" / "recommended" / "results" / "README.md"


@pytest.mark.parametrize("page", [OWN, RESULTS], ids=lambda path: path.parent.name)
def test_the_comparisons_figures_on_a_page_are_those_of_its_table(page: Path) -> None:
    rows = comparison("comparison-32")
    on_page = table(page, "| arm | FD, 5 kimg |")
    for name in dict.fromkeys(row["arm"] for row in rows):
        of_arm = [row for row in rows if row["arm"] == name]
        distances = [shown(row, "fd", 0) for row in of_arm]
        assert on_page[name] == [*[""] * (3 - len(distances)), *distances, shown(of_arm[-1], "kid", 3)]


@pytest.mark.parametrize(
    ("page", "folder", "header"),
    [
        (OWN, "comparison-modern-32", "| demo scenes |"),
        (RESULTS, "comparison-modern-32", "| demo scenes |"),
        (OWN, "comparison-photos-32", "| photographs |"),
        (RESULTS, "comparison-photos-32", "| photographs |"),
        (OWN, "comparison-modern-short-32", "| shorter layers |"),
        (OWN, "comparison-photos-short-32", "| photographs, shorter layers |"),
    ],
)
def test_the_recommended_compositions_figures_on_a_page_are_those_of_its_tables(page: Path, folder: str, header: str) -> None:
    rows = comparison(folder)
    on_page = table(page, header)
    assert on_page.keys() == {row["arm"] for row in rows}
    for name, cells in on_page.items():
        of_arm = [row for row in rows if row["arm"] == name]
        distances = [shown(row, "kid", 2) for row in of_arm]
        ratios = [ratio(row) for row in of_arm]
        assert cells == [*[""] * (3 - len(distances)), *distances, *[""] * (3 - len(ratios)), *ratios], name


def test_figures_at_64_px_are_those_of_their_table() -> None:
    rows = comparison("comparison-grown-64")
    on_page = table(RESULTS.parent / "sizes.md", "| arm | KID, efficientnet-lite0@96 |")
    assert on_page.keys() == {row["arm"] for row in rows}
    for name, cells in on_page.items():
        of_arm = [row for row in rows if row["arm"] == name]
        assert [row["extractor"] for row in of_arm] == ["efficientnet-lite0@96", "mobilenet-v2@96"]
        assert cells == [*(shown(row, "kid", 2) for row in of_arm), ratio(of_arm[0])], name


def test_figures_of_photographs_at_64_px_are_those_of_their_table() -> None:
    rows = comparison("comparison-photos-64")
    on_page = table(RESULTS.parent / "sizes.md", "| photographs: arm | KID, efficientnet-lite0@96 |")
    assert on_page.keys() == {row["arm"].split(", changed:")[0] + (")" if "changed:" in row["arm"] else "") for row in rows}
    for name, cells in on_page.items():
        of_arm = [row for row in rows if row["arm"] == name or row["arm"].startswith(name.removesuffix(")") + ", changed:")]
        assert [row["extractor"] for row in of_arm] == ["efficientnet-lite0@96", "mobilenet-v2@96"]
        ratios = ", ".join(f"{float(row['kid_ratio']):.2f}" for row in of_arm if row["kid_ratio"])
        assert cells == [*(shown(row, "kid", 2) for row in of_arm), ratios], name


LENGTHS = {
    ("comparison-modern-shortest-32", 4): "2.5 + 5",
    ("comparison-modern-shorter-32", 8): "5 + 10",
    ("comparison-modern-short-32", 15): "10 + 20",
    ("comparison-modern-32", 20): "20 + 40",
    ("comparison-modern-32", 80): "20 + 40",
    ("comparison-photos-shorter-32", 8): "5 + 10",
    ("comparison-photos-short-32", 20): "20 + 40",
    ("comparison-photos-32", 20): "60 + 60",
    ("comparison-photos-32", 80): "60 + 60",
}


def test_who_is_ahead_after_how_many_seconds_of_all_stages() -> None:
    on_page = table(RESULTS, "| CPU seconds of all stages |")
    expected = {}
    for (folder, budget), layers in LENGTHS.items():
        arms = {row["arm"]: row for row in comparison(folder) if row["budget"] == f"{budget}.0"}
        other = arms["wgan-tuned, as long as all stages"]
        domain = "photographs" if "photos" in folder else "demo"
        key = f"{domain}, {pretraining_s(folder) + budget}"
        expected[key] = [layers, shown(arms["Composition (modern)"], "kid", 2), shown(other, "kid", 2), ratio(other)]
    assert on_page == expected


def test_the_readmes_ratios_are_those_of_the_tables() -> None:
    readme = table(PRETRAINED.parent / "README.md", "| scenes |")
    for row, folder in (("demo", "comparison-modern-32"), ("photographs of garments", "comparison-photos-32")):
        arms = [one for one in comparison(folder) if one["arm"] == "wgan-tuned, as long as all stages"]
        assert readme[row] == [f"{float(one['kid_ratio']):.2f}" for one in arms]


def pretraining_s(folder: str) -> int:
    """CPU seconds that the layers took, by the report's row of pasting them."""
    lines = (PRETRAINED / folder / "report.md").read_text(encoding="utf-8").splitlines()
    (header,) = [line for line in lines if line.startswith("| arm | FD (")]
    (row,) = [line for line in lines if line.startswith("| Frozen layers, pasted |") and line.count("|") == header.count("|")]
    cell = row.split("|")[header.split("|").index(" CPU time, total ")]
    minutes, seconds = re.fullmatch(r" (?:(\d+) min )?(\d+) s ", cell).groups()  # type: ignore[union-attr]
    return 60 * int(minutes or 0) + int(seconds)


def test_how_well_the_recommended_composition_keeps_its_layers_apart() -> None:
    measured = read_card(PRETRAINED / "modern-32" / "composer.safetensors").metrics
    found = measured["separation"]
    sentence = (
        f"matte overlap {found['matte_iou']:.3f}, background in foreground {found['leak_b_to_f_recoloured']:.3f} (one affine colour change per picture "
        f"taken out), foreground in background {found['leak_f_to_b']:.3f}, degenerate mattes {found['degenerate']:.3f}; moving the foreground changes "
        f"pixels outside both mattes by {found['moved_change_255']:.2f} of 255; burnt-out pixels {measured['burnt_dark']['value']:.4f} dark, "
        f"{measured['burnt_bright']['value']:.4f} bright."
    )
    assert sentence in " ".join(RESULTS.read_text(encoding="utf-8").split())
    assert (found["matte_iou"] > 0.85, found["leak_b_to_f_recoloured"] < 0.05, found["leak_f_to_b"] < 0.05, found["degenerate"] < 0.08) == (True,) * 4
    assert found["moved_change_255"] < 2


def embedded(name: str) -> dict[str, Any]:
    (path,) = (PRETRAINED / name).glob("*.safetensors")
    return read_card(path).metrics


def test_what_embedding_finds_is_on_the_page() -> None:
    own = table(OWN, "| its own pictures |")
    for name, parts in (("bg-32", ["output"]), ("modern-32", ["output", "bg", "fg"])):
        found = embedded(name)["recovery"]
        figures = [
            f"{found['parts'][part]['median']:.1f} ({found['parts'][part]['worst']:.1f})" if part in parts else "" for part in ("output", "bg", "fg")
        ]
        assert own[f"`{name}`, {len(found['pictures'])}"] == [*figures, f"{found['seconds_median']:.0f} ({found['seconds_longest']:.0f})"]
        assert found["protocol"]["limit_s"] == 60
    held_out = table(OWN, "| held-out pictures |")
    for name in ("bg-32", "modern-32"):
        found = embedded(name)["embedding"]
        figures = [f"{found[key]:.1f}" for key in ("psnr_db_median", "psnr_db_worst", "distance_median", "seconds_median")]
        assert held_out[f"`{name}`, {found['protocol']['count']}"] == figures


def comparison(folder: str) -> list[dict[str, str]]:
    with (PRETRAINED / folder / "table.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def table(page: Path, header: str) -> dict[str, list[str]]:
    """First cell -> the others, of the table whose first line begins so."""
    lines = page.read_text(encoding="utf-8").splitlines()
    (start,) = [index for index, line in enumerate(lines) if line.startswith(header)]
    found = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        found[name] = cells
    return found


def ratio(row: Mapping[str, str]) -> str:
    """Plain, and above the floor where there is one."""
    plain, above = row["kid_ratio"], row["kid_ratio_above_floor"]
    return " / ".join(f"{float(value):.2f}" for value in (plain, above) if value)


def shown(row: Mapping[str, str], key: str, digits: int) -> str:
    spread = row[f"{key}_std"]
    return f"{float(row[key]):,.{digits}f}" + (f" ± {float(spread):,.{digits}f}" if spread else "")


def test_the_comparisons_command_is_that_of_its_plan() -> None:
    folder = PRETRAINED / "comparison-32"
    plan = json.loads((folder / "plan.json").read_text())
    (command,) = [line for line in (PRETRAINED / "README.md").read_text().splitlines() if line.startswith("mitlgan compare")]
    words = command.split()
    assert [words[index + 1] for index, word in enumerate(words) if word == "--baseline"] == plan["baselines"]
    for option in ("recipe", "seeds", "jobs"):
        assert words[words.index(f"--{option}") + 1] == str(plan[option]).replace("demo/", "thesis-32/")  # as it is called now
    assert [float(budget) for budget in words[words.index("--budgets") + 1].split(",")] == plan["budgets"]
    assert command in RESULTS.read_text(encoding="utf-8")
    assert "http" not in (folder / "report.html").read_text().replace("http://www.w3.org", "")


def test_reports_name_no_file_that_is_not_shipped() -> None:
    for page in PRETRAINED.glob("comparison-*/*.md"):
        names = re.findall(r"\b(?:report|metrics|plan|table)\.(?:html|json|csv|tex)", page.read_text(encoding="utf-8"))
        assert not [name for name in names if not (page.parent / name).is_file()], page


def test_a_context_encoder_ships_with_card_and_sheet_below_3_mb() -> None:
    network, card = load_network(INPAINTER)
    beside = json.loads((INPAINTER.parent / "card.json").read_text())
    assert beside["tensors_sha256"] == tensors_sha256(network_tensors(network))
    assert (card.kind, card.role, card.size_px, card.licence) == ("inpainter", "bg", 32, "MIT")
    assert "CC0" in card.credit
    assert card.data["source"] == "demo"
    assert parse_recipe(card.recipe).inpainter == load_recipe("inpaint/context-32").inpainter
    assert INPAINTER.stat().st_size < 3_000_000
    with Image.open(INPAINTER.parent / "grid.png") as sheet:
        assert min(sheet.size) >= 100


def test_the_inpainting_figures_on_the_page_are_those_of_the_card() -> None:
    measured = read_card(INPAINTER).metrics["inpainting"]
    protocol = measured["protocol"]
    assert (protocol["split"], protocol["hole"], protocol["count"]) == ("validation", "center", 990)
    lines = OWN.read_text(encoding="utf-8").splitlines()
    for label, method, form in INPAINTING_ROWS:
        (line,) = [line for line in lines if line.startswith(f"| {label} |")]
        cells = [cell.strip() for cell in line.strip("|").split("|")][1:]
        numbers = [measured["methods"][method][f"{form}{key}"] for key in ("psnr_db", "distance")]
        assert cells == [f"{number['value']:.2f} ± {number['std_error']:.2f}" for number in numbers], label


def test_the_shipped_context_encoder_beats_mean_fill_and_opencv_on_held_out_places() -> None:
    """On fewer pictures than its card says, but anew."""
    pytest.importorskip("cv2")
    fillers = [make_filler(method) for method in ("context", "opencv", "opencv-ns", "mean")]
    scores, _ = score_fillers(
        demo_pack("bg", 32, split="validation"), fillers, parse_hole("center", 32, 32), open_extractor("efficientnet-lite0"), count=24
    )
    assert describe_scores(scores) == [
        "context, blended, beats opencv, opencv-ns, mean in both PSNR and distance (difference per picture, 95% confidence)"
    ]


def test_no_panorama_of_the_held_out_places_was_trained_on() -> None:
    splits = (demo_pack("bg", 32, split=split) for split in ("validation", "train"))
    held_out, trained = ({str(source["name"]).split("/")[1].rsplit("-", 1)[0] for source in pack.sources()} for pack in splits)
    assert held_out
    assert not held_out & trained
    assert read_card(INPAINTER).data["content_sha256"] == demo_pack("bg", 32).content_sha256
