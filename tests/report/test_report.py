"""The report: complete, self-contained, honest in words, and safe against hostile names."""

from __future__ import annotations

import base64
import dataclasses
import io
import itertools
import json
import math
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mitlgan.errors import ResourceError
from mitlgan.report import tables
from mitlgan.report.charts import time_bars
from mitlgan.report.formatting import DASH, count, distance_name, duration, markdown_text, number, printable
from mitlgan.report.html import write_report
from mitlgan.report.inline_images import inline_png
from mitlgan.report.plots import ARM_COLORS
from mitlgan.report.schema import Anchor, ArmResult, Comparison, Cost, DomainPictures, Picture, StageCost
from mitlgan.report.summary import report_summary
from mitlgan.report.tables import METRICS
from mitlgan.report.verdict import decide_verdict

HOSTILE = "<script>alert(1)</script>\n[red]x[/red]|`\u202e\x1b[31m\udcff\"'><img src=x onerror=alert(2)>"
EXTRACTOR = "efficientnet-lite0@96"
PROTOCOL = {"extractor": EXTRACTOR, "samples": 1500, "real": 1200, "split": "test", "seed": 0}


def pixels(count: int, channels: int = 3, size_px: int = 32, seed: int = 0) -> torch.Tensor:
    made = torch.randint(0, 256, (count, channels, size_px, size_px), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    if channels == 4:  # premultiplied
        made[:, :3] = (made[:, :3].int() * made[:, 3:].int() // 255).to(torch.uint8)
    return made


def stats(seed: int, count: int = 500) -> list[dict[str, float]]:
    noise = np.random.default_rng(seed).normal(0, 1, (count, 3))
    return [
        {
            "iteration": i,
            "kimg": i * 0.1,
            "wasserstein": 20 * math.exp(-i / 100) + 5 + float(noise[i, 0]),
            "critic_loss": -10 * math.exp(-i / 100) - 4 + float(noise[i, 1]),
            "generator_loss": 3 * math.sin(i / 80) + float(noise[i, 2]),
            "nan_skipped": 0,
            "collapsed": False,
        }
        for i in range(count)
    ]


def composed_arm(fd: float = 1244.0, kid: float = 1.91, **changes: object) -> ArmResult:
    stages = [StageCost("foreground", 40.0, 131.0, True), StageCost("background", 40.0, 129.0, True), StageCost("composition", 48.0, 182.0)]
    arm = ArmResult(
        "composed",
        "thesis-narrow composer",
        "composed",
        run_dir="runs/compose/demo-scene-001",
        stats=stats(1),
        timing=[{"images_per_s": 812.0, "overhead_fraction": 0.02}],
        cost=Cost(stages, 1_242_118, 2_018_333, 33_400_000),
        metrics={"fd": fd, "kid": kid, "kid_std": 0.06},
        layers={
            "fg": pixels(8, 4),
            "bg": pixels(8, 3, seed=1),
            "matte": pixels(8, 1, seed=2),
            "fused": pixels(8, seed=3),
            "output": pixels(8, seed=4),
        },
        samples=pixels(25, seed=5),
        notes=["Frozen hashes are equal before and after."],
    )
    return dataclasses.replace(arm, **changes)  # type: ignore[arg-type]


def baseline_arm(fd: float = 1117.0, kid: float = 1.53, **changes: object) -> ArmResult:
    arm = ArmResult(
        "wgan",
        "WGAN-GP",
        "baseline",
        run_dir="runs/compare/demo-wgan-001",
        stats=stats(2),
        cost=Cost([StageCost("WGAN-GP", 48.0, 121.0)], 947_203, 947_203, 10_100_000),
        metrics={"fd": fd, "kid": kid, "kid_std": 0.05},
        samples=pixels(25, seed=6),
        length="stage",
    )
    return dataclasses.replace(arm, **changes)  # type: ignore[arg-type]


ANCHORS = [
    Anchor("real_halves", "Real halves", {"fd": 172.0, "kid": 0.0004, "kid_std": 0.004}, "the best that can be reached"),
    Anchor("real_pasted", "Real objects, pasted", {"fd": 317.0, "kid": 0.21, "kid_std": 0.02}),
    Anchor("bare_backgrounds", "Bare backgrounds", {"fd": 1325.0, "kid": 1.35, "kid_std": 0.05}),
]


def comparison(**changes: object) -> Comparison:
    arms = [composed_arm(), baseline_arm()]
    whole = Comparison(
        "Composer against WGAN, demo scenes at 32 px",
        arms,
        ANCHORS,
        decide_verdict(arms, ANCHORS, PROTOCOL, resource="kimg"),
        equal=["Real scenes: 48 kimg for each critic"],
        unequal=["Pretraining: 80 kimg for the composer, none for the WGAN"],
        protocol=PROTOCOL,
        environment={"torch": "2.9.0", "threads": 2},
        real=pixels(25, seed=7),
        domains=[DomainPictures("demo", [Picture("Foregrounds", pixels(25, 4)), Picture("Backgrounds", pixels(25)), Picture("Scenes", pixels(25))])],
        shipped=[Picture("Shipped composer", pixels(25, seed=8))],
        commands=["mitlgan demo --seed 0"],
        made_by="mitlgan 0.1.0",
    )
    return dataclasses.replace(whole, **changes)  # type: ignore[arg-type]


class Page(HTMLParser):
    """What a reader would get: tags with attributes, and visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.in_style = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.in_style = tag == "style"
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        self.in_style = False

    def handle_data(self, data: str) -> None:
        if not self.in_style:
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def visible(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.text))


def render(tmp_path: Path, whole: Comparison) -> tuple[Page, str, dict[str, object]]:
    paths = write_report(tmp_path / "run", whole)
    html = paths.html.read_text(encoding="utf-8")
    return Page(html), paths.md.read_text(encoding="utf-8"), json.loads(paths.json.read_text(encoding="utf-8"))


def test_the_page_needs_nothing_from_outside(tmp_path: Path) -> None:
    page, _, _ = render(tmp_path, comparison())
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base"}
        for name in ("src", "href", "xlink:href", "srcset", "data", "action"):
            assert attributes.get(name, "#").startswith(("data:image/png;base64,", "#"))
    style = (tmp_path / "run" / "report.html").read_text()
    assert "@import" not in style
    assert not re.search(r"url\((?!#)", style)


def test_every_picture_has_an_alternative_text_and_decodes(tmp_path: Path) -> None:
    page, _, _ = render(tmp_path, comparison())
    images = page.all("img")
    assert len(images) == 3 + 5 + 3 + 1  # samples and real, layers, what was learned from, shipped
    for image in images:
        assert len(image["alt"]) > 10
        png = Image.open(io.BytesIO(base64.b64decode(image["src"].split(",")[1])))
        assert png.size == (int(image["width"]), int(image["height"]))
    drawings = [attributes for tag, attributes in page.tags if attributes.get("role") == "img"]
    assert len(drawings) == 3
    assert all("thesis-narrow composer" in drawing["aria-label"] and "WGAN-GP" in drawing["aria-label"] for drawing in drawings)


def test_headings_descend_by_one_and_table_cells_have_scope(tmp_path: Path) -> None:
    page, _, _ = render(tmp_path, comparison())
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert {cell.get("scope") for cell in page.all("th")} == {"col", "row"}
    assert page.all("html")[0]["lang"] == "en"


def test_identifiers_are_unique(tmp_path: Path) -> None:
    page, _, _ = render(tmp_path, comparison())
    identifiers = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    named = [name for _, attributes in page.tags for name in attributes.get("aria-labelledby", "").split()]
    assert set(named) <= set(identifiers)


def test_curves_take_their_colours_from_the_page(tmp_path: Path) -> None:
    write_report(tmp_path, comparison())
    html = (tmp_path / "report.html").read_text()
    drawings = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(drawings) == 3
    for drawing in drawings:
        assert "stroke: var(--arm-0)" in drawing
        assert "stroke: var(--arm-1)" in drawing
        assert not re.search(r"(fill|stroke): #", drawing)


def test_small_pictures_are_enlarged_by_whole_numbers() -> None:
    for size_px in (8, 16, 32, 64):
        shown = inline_png(pixels(25, size_px=size_px))
        assert shown.crisp
        assert shown.wide_px % shown.width == shown.narrow_px % shown.width == 0
        assert shown.wide_px <= 336
    assert inline_png(pixels(25, size_px=32)).wide_px == 2 * 168


def test_grid_holds_the_pixels_that_were_given() -> None:
    given_pixels = pixels(4)
    shown = inline_png(given_pixels, columns=2)
    grid = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown.uri.split(",")[1]))))
    assert grid.shape == (66, 66, 4)
    assert (grid[34:, 34:, :3] == given_pixels[3].permute(1, 2, 0).numpy()).all()
    assert (grid[32:34, :, 3] == 0).all()  # gutters show the page


def test_premultiplied_pictures_lie_on_grey_squares() -> None:
    clear, opaque = torch.zeros(1, 4, 8, 8, dtype=torch.uint8), torch.full((1, 4, 8, 8), 255, dtype=torch.uint8)
    shown = inline_png(torch.cat([clear, opaque]), columns=2)
    grid = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown.uri.split(",")[1]))))
    assert set(np.unique(grid[:, :8, :3])) == {188, 212}
    assert (grid[:, 10:, :3] == 255).all()


def test_wrong_pixels_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"pixels: uint8"):
        write_report(tmp_path / "run", comparison(real=torch.zeros(4, 3, 8, 8)))
    assert not (tmp_path / "run").exists()


def test_a_finished_png_is_embedded_as_it_is() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (50, 20)).save(buffer, "PNG")
    shown = inline_png(buffer.getvalue())
    assert base64.b64decode(shown.uri.split(",")[1]) == buffer.getvalue()
    assert (shown.width, shown.height, shown.wide_px) == (50, 20, 300)


def test_hostile_names_are_inert(tmp_path: Path) -> None:
    arms = [composed_arm(label=HOSTILE, run_dir=HOSTILE, notes=[HOSTILE], layers={HOSTILE: pixels(2)}), baseline_arm(label=HOSTILE)]
    hostile = comparison(
        title=HOSTILE,
        arms=arms,
        anchors=[Anchor(HOSTILE, HOSTILE, {"fd": 1.0}, HOSTILE)],
        verdict=decide_verdict(arms, protocol={"extractor": HOSTILE}),
        equal=[HOSTILE],
        unequal=[HOSTILE],
        protocol={HOSTILE: HOSTILE, "extractor": HOSTILE},
        environment={HOSTILE: HOSTILE},
        domains=[DomainPictures(HOSTILE, [Picture(HOSTILE, pixels(2))]), DomainPictures("b", [])],
        shipped=[Picture(HOSTILE, pixels(2), HOSTILE)],
        commands=[HOSTILE],
        trust=[HOSTILE],
        made_by=HOSTILE,
    )
    page, markdown, data = render(tmp_path, hostile)
    assert not page.all("script")
    assert {image["src"][:5] for image in page.all("img")} == {"data:"}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    html = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    for text in (html, markdown, json.dumps(data)):
        assert not {"\u202e", "\x1b"} & set(text)
    assert "<script>alert(1)</script>\\n[red]x[/red]" in page.visible()  # shown, on one line, as text
    prose = "\n".join(line for line in markdown.splitlines() if not line.startswith("    "))
    assert "<" not in prose
    table_lines = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table_lines} == {10, 3}  # of numbers, and of ratios


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_printable_text_is_one_line_of_valid_utf8(text: str) -> None:
    shown = printable(text)
    shown.encode("utf-8")
    assert len(shown.splitlines()) <= 1
    assert "\x1b" not in shown
    assert "<" not in markdown_text(text)


@pytest.mark.parametrize("own", [[], [StageCost("pasting", 0.0, 0.0)]])
def test_what_this_stage_took_is_told_beside_layers_that_had_none(own: list[StageCost]) -> None:
    layers = [StageCost("foreground", 40.0, 131.0, True), StageCost("background", 40.0, 129.0, True)]
    pasted = baseline_arm(1200.0, cost=Cost([*layers, *own]), name="paste", label="Frozen layers, pasted")
    reasons = decide_verdict([composed_arm(900.0), pasted], ANCHORS, PROTOCOL).reasons
    assert any(
        "trained for 7 min 22 s, 3 min 02 s of it in this stage. Frozen layers, pasted: no training in this stage." in reason for reason in reasons
    )


@pytest.mark.parametrize("fd", [math.nan, None, math.inf])
def test_an_unmeasured_arm_gets_no_verdict(fd: float) -> None:
    assert decide_verdict([composed_arm(fd), baseline_arm()]).headline == "No verdict: the composed arm was not measured."
    assert decide_verdict([composed_arm(), baseline_arm(fd)]).headline == "No verdict: the baseline was not measured."


def test_fid_is_said_of_the_inception_network_only() -> None:
    assert distance_name("inception") == "FID"
    assert distance_name(EXTRACTOR) == "FD (efficientnet-lite0@96)"
    assert "FID" not in decide_verdict([composed_arm(), baseline_arm()], protocol=PROTOCOL).headline


def test_what_is_not_finite_prints_as_a_dash(tmp_path: Path) -> None:
    bad = {"fd": math.nan, "kid": None, "kid_std": math.inf}
    arms = [
        composed_arm(metrics=bad, cost=Cost([StageCost("composition", None, None)])),
        baseline_arm(metrics={}, stats=[{"kimg": math.nan}]),
    ]
    page, markdown, data = render(tmp_path, comparison(arms=arms, verdict=decide_verdict(arms), anchors=[Anchor("x", "x", bad)]))
    row = next(line for line in markdown.splitlines() if line.startswith("| thesis"))
    assert [cell.strip() for cell in row.split("|")[2:-1]] == [DASH] * 8
    for text in (page.visible(), markdown, json.dumps(data)):
        assert not re.search(r"\b(nan|NaN|inf|Infinity|None)\b", text)
    assert data["arms"][0]["metrics"] == {"fd": None, "kid": None, "kid_std": None}  # type: ignore[index]


def test_json_comes_back_as_it_went(tmp_path: Path) -> None:
    whole = comparison(protocol={"extractor": EXTRACTOR, "samples": np.int64(1500), "noise": np.float32(0.5)})
    _, _, data = render(tmp_path, whole)
    assert data == report_summary(whole)
    assert data["verdict"]["outcome"] == "lost"  # type: ignore[index]
    assert data["protocol"] == {"extractor": EXTRACTOR, "samples": 1500, "noise": 0.5}
    cost = data["arms"][0]["cost"]  # type: ignore[index]
    assert (cost["seconds_stage"], cost["seconds_total"]) == (182.0, 442.0)
    assert (cost["kimg_stage"], cost["kimg_total"]) == (48.0, 128.0)


def test_table_in_both_forms_counts_pretraining_in_and_out(tmp_path: Path) -> None:
    page, markdown, _ = render(tmp_path, comparison())
    row = next(line for line in markdown.splitlines() if line.startswith("| thesis"))
    cells = [cell.strip() for cell in row.split("|")[2:-1]]
    assert cells == ["1,244", "1.910 ± 0.060", "48.0", "128", "3 min 02 s", "7 min 22 s", "1.24 M", "33.4 M"]
    for text in [
        *cells,
        "Composition lost by 127 FD (11%) to WGAN-GP, at equal kimg of this stage alone: 1,500 samples against 1,200 test pictures",
        "Bare backgrounds",
        "mitlgan demo --seed 0",
        "Each arm was trained once",
    ]:
        assert text in page.visible()


def test_collapse_is_told_with_its_place(tmp_path: Path) -> None:
    rows = [
        *stats(1, 50),
        {"iteration": 50, "kimg": 5.0, "collapsed": True},
        {"iteration": 51, "kimg": 5.1, "collapsed": True, "nan_skipped": 2},
    ]
    page, markdown, _ = render(tmp_path, comparison(arms=[composed_arm(stats=rows), baseline_arm()]))
    for text in (page.visible(), markdown):
        assert "appears to have collapsed at iteration 50, 5.00 kimg" in text
        assert "skipped 2 training steps" in text


def test_a_single_arm_and_an_empty_comparison_render(tmp_path: Path) -> None:
    page, _, _ = render(tmp_path, Comparison("Foreground", [baseline_arm()]))
    assert "Foreground" in page.visible()
    render(tmp_path, Comparison("Nothing", []))


def test_distance_during_training_is_drawn_where_it_was_measured(tmp_path: Path) -> None:
    rows = [{"kimg": kimg, "fd": 2000.0 - 10 * kimg} for kimg in (5.0, 10.0, 20.0)]
    page, _, _ = render(tmp_path, comparison(arms=[composed_arm(evaluations=rows), baseline_arm()]))
    labels = [attributes["aria-label"] for _, attributes in page.tags if attributes.get("role") == "img"]
    assert labels[0] == "FD (efficientnet-lite0@96) during training over kimg: thesis-narrow composer from 1.95e+03 to 1.8e+03."


def test_same_comparison_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = write_report(tmp_path / "a", comparison()), write_report(tmp_path / "b", comparison())
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["metrics.json", "report.html", "report.md", "table.csv", "table.tex"]


def test_the_page_in_markdown_can_be_kept_alone(tmp_path: Path) -> None:
    paths = write_report(tmp_path, comparison())
    text = paths.md.read_text(encoding="utf-8")
    assert not [path.name for path in paths if path.name in text]


def test_a_folder_that_cannot_be_made_is_a_resource_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError):
        write_report(tmp_path / "file" / "run", comparison())


def test_a_long_run_renders_quickly_and_stays_small(tmp_path: Path) -> None:
    long = comparison(arms=[composed_arm(stats=stats(1, 50_000)), baseline_arm(stats=stats(2, 50_000))])
    began = time.process_time()
    paths = write_report(tmp_path, long)
    assert time.process_time() - began < 5
    assert paths.html.stat().st_size < 2_500_000


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1244.2, "1,244"),
        (99.96, "100"),
        (31.46, "31.5"),
        (9.996, "10.0"),
        (1.352, "1.35"),
        (0.2131, "0.213"),
        (4e-5, "4.0e-05"),
        (0, "0.000"),
        (-5.25, "-5.25"),
    ],
)
def test_numbers_have_three_digits(value: float, shown: str) -> None:
    assert number(value) == shown


def test_units_are_for_people() -> None:
    seconds = {
        4.2: "4.2 s",
        48: "48 s",
        59.7: "1 min 00 s",
        252: "4 min 12 s",
        3599.6: "1 h 00 min",
        7500: "2 h 05 min",
        -1: DASH,
        None: DASH,
    }
    assert {value: duration(value) for value in seconds} == seconds
    counts = {947: "947", 18_461_982: "18.5 M", 23_304_090: "23.3 M", 1.24e9: "1.24 G", 999_999: "1 M", 5e12: "5,000 G", None: DASH}
    assert {value: count(value) for value in counts} == counts


def contrast(first: str, second: str) -> float:
    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_colours_meet_aa_in_light_and_dark(tmp_path: Path) -> None:
    html = write_report(tmp_path, comparison()).html.read_text()
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{(.*?)\}", html, re.DOTALL)[:2])
    for scheme in (light, dark):
        for page in ("page", "surface"):
            assert contrast(scheme["ink"], scheme[page]) >= 7
            assert contrast(scheme["muted"], scheme[page]) >= 4.5
            for arm in range(len(ARM_COLORS)):
                assert contrast(scheme[f"arm-{arm}"], scheme[page]) >= 4.5
        assert len({scheme[f"arm-{arm}"] for arm in range(len(ARM_COLORS))}) == len(ARM_COLORS)


def test_ten_arms_have_ten_colours(tmp_path: Path) -> None:
    arms = [composed_arm(), *(baseline_arm(name=f"wgan-{index}", label=f"WGAN {index}") for index in range(1, 10))]
    html = write_report(tmp_path, comparison(arms=arms, verdict=decide_verdict(arms, ANCHORS, PROTOCOL, resource="kimg"))).html.read_text()
    legend = re.search(r'<p class="legend">.*?</p>', html, re.DOTALL)
    assert legend
    assert re.findall(r"line arm-(\d+)", legend[0]) == [str(index) for index in range(10)]
    for index in range(10):
        assert f".arm-{index} {{ --arm: var(--arm-{index}); }}" in html
        assert f"stroke: var(--arm-{index})" in html


def test_costs_leave_the_table_of_numbers_where_both_would_not_fit() -> None:
    plain = comparison()
    every = {metric.column: 0.5 for metric in METRICS}
    full = comparison(arms=[dataclasses.replace(arm, metrics={**arm.metrics, **every}) for arm in plain.arms])
    assert tables.cost_table(plain) is None
    apart = tables.cost_table(full)
    assert apart is not None
    assert [*tables.numbers_table(full).headings, *apart.headings] == tables.summary_table(full).headings
    assert len(tables.numbers_table(full).headings) == len(METRICS)


def test_an_arm_that_diverged_is_compared_with_nothing() -> None:
    sound, wild = baseline_arm(1600.0, 2.5), baseline_arm(fd=900.0, name="wild", label="Wild (diverged)", diverged=True)
    found = decide_verdict([composed_arm(fd=1244.0), sound, wild])
    assert found.outcome == "won", "against the sound one"
    assert "Wild (diverged): its training diverged, so its numbers are not compared." in found.reasons
    alone = decide_verdict([composed_arm(), wild])
    assert (alone.outcome, alone.headline) == ("unmeasured", "No verdict: the training of every baseline diverged.")
    ours = composed_arm(diverged=True)
    refused = decide_verdict([ours, sound])
    assert (refused.outcome, refused.headline) == ("unmeasured", f"No verdict: the training of {ours.label} diverged.")


@pytest.mark.parametrize(
    ("stages", "timing", "text"),
    [
        # A last step of 338 images/s says nothing of a run of 60: 24 kimg in 400 s.
        ([StageCost("pretrain", 24.0, 400.0)], [(20.0, 0.5), (338.0, 0.01)], "60.0 images/s, 47.3% loop overhead"),
        ([StageCost("layers", 40.0, 100.0, True), StageCost("compose", 24.0, 400.0)], [(60.0, 0.1)] * 3, "compose: 60.0 images/s, 10.0% loop overhead"),
        ([StageCost("pretrain", 24.0, 400.0)], [], "60.0 images/s"),
        ([StageCost("pretrain", None, None)], [(50.0, 0.25), (None, 0.9), (0.0, 0.9), (80.0, None)], "25.0% loop overhead"),
        ([StageCost("pretrain", 0.0, 0.0)], [], ""),
        ([StageCost("layers", 40.0, 100.0, True)], [], ""),
    ],
)
def test_a_speed_is_that_of_the_whole_stage_which_it_names(stages: list[StageCost], timing: list[tuple[float | None, float | None]], text: str) -> None:
    rows = [{"images_per_s": speed, "overhead_fraction": share} for speed, share in timing]
    arms = [composed_arm(cost=Cost(stages), timing=rows), baseline_arm()]
    assert time_bars(comparison(arms=arms))[0].speed == text


@pytest.mark.parametrize(("seeds", "is_said"), [((0,), False), ((0, 1), True), ((), False)])
def test_layer_separation_is_said_to_be_of_the_first_seed(seeds: tuple[int, ...], is_said: bool) -> None:
    arm = ArmResult("c", "C", "composed", separation={"foregrounds": 2, "backgrounds": 2}, seeds=seeds)
    table = tables.separation_table(Comparison("x", [arm], []))
    assert table is not None
    assert ("the first seed of each arm alone" in table.caption) == is_said
