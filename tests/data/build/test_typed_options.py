"""Settings in journals and manifests are told as the options that a user types, whatever the command."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any

import pytest
from typer.main import get_command

from mitlgan.cli.main import app
from mitlgan.data.build.offline_augment import AugmentSettings
from mitlgan.data.build.prepare_image import PrepareSettings
from mitlgan.data.build.typed_options import changed_options, describe_changes
from mitlgan.data.layers.matte_filter import MatteFilter
from mitlgan.data.layers.split import SplitSettings

SPLIT = SplitSettings().cut_settings_to_json()


def options_of(command: str) -> set[str]:
    parser: Any = get_command(app)
    for name in ("data", command):
        parser = parser.commands[name]
    return {option for parameter in parser.params for option in (*parameter.opts, *parameter.secondary_opts)}


@pytest.mark.parametrize(
    ("command", "settings"),
    [
        ("split", SPLIT), ("prepare", asdict(PrepareSettings())), ("augment", asdict(AugmentSettings())),
        ("chess", {"count": 1, "size_px": 1, "seed": 1}),
    ],
)  # fmt: skip
def test_every_setting_is_told_as_an_option_that_the_command_has(command: str, settings: dict[str, Any]) -> None:
    changed = {key: dict.fromkeys(value, 0.3) if key == "gate" else "other" for key, value in settings.items()}
    told = describe_changes(settings, changed)
    assert len(told) == len(settings) + (4 if command == "split" else 0)
    words = [word for line in told for word in re.findall(r"--[a-z-]+", line)]
    assert len(words) == len(told) - (2 if command == "split" else 0)  # two limits of mattes have no option
    assert set(words) <= options_of(command)


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (SPLIT, SplitSettings(matte_filter=MatteFilter(max_border=0.02)).cut_settings_to_json(), ["--max-border 0.25, now 0.02"]),
        (SPLIT, SplitSettings(centre=True, backdrop=(255, 0, 16)).cut_settings_to_json(),
         ["without --backdrop, now #ff0010", "without --centre, now with it"]),
        (asdict(AugmentSettings()), asdict(AugmentSettings(mirror=False, shear_degrees=1.5)), ["with --mirror, now without it", "--shear 6, now 1.5"]),
        (asdict(PrepareSettings(exclude=("a",))), asdict(PrepareSettings(exclude=("a", "b"))), ["--exclude of 1 name, now of 2 names"]),
        (asdict(PrepareSettings(exclude=("a",))), asdict(PrepareSettings(exclude=("b",))), ["--exclude of 1 name, now others"]),
        (asdict(PrepareSettings(against=("my set",))), asdict(PrepareSettings()), ["--against 'my set', now without it"]),
        (asdict(PrepareSettings()), json.loads(json.dumps(asdict(PrepareSettings()))), []),
    ],
)  # fmt: skip
def test_what_differs_alone_is_told(before: dict[str, Any], now: dict[str, Any], told: list[str]) -> None:
    assert describe_changes(before, now) == told


def test_the_options_that_differ_from_the_usual_ones_give_the_settings_again() -> None:
    given = SplitSettings(matting="grabcut", size_px=48, blur_px=1.25, centre=True, backdrop=(1, 2, 3), matte_filter=MatteFilter(min_area=0.001))
    assert changed_options(given.cut_settings_to_json(), SPLIT) == [
        "--matting", "grabcut", "--size", "48", "--blur", "1.25", "--backdrop", "#010203", "--centre", "--min-object-area", "0.001",
    ]  # fmt: skip
    assert changed_options({**SPLIT, "of_a_later_version": 3, "gate": {**SPLIT["gate"], "min_largest": 0.1}}, SPLIT) == []
    assert changed_options(asdict(AugmentSettings(mirror=False)), asdict(AugmentSettings())) == ["--no-mirror"]
