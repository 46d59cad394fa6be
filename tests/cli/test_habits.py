"""Small promises of the commands: extras are explained, a licence reaches the card, a longer run says what its rates do."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest
from helpers import tiny_runs
from helpers.commands import Command

from mitlgan.artifacts.card import read_card
from mitlgan.cli.output import progress_bar
from mitlgan.cli.search_progress import search_progress
from mitlgan.doctor import EXTRAS
from mitlgan.recipe import to_toml, with_overrides

ROOT = Path(__file__).resolve().parent.parent.parent


def test_doctor_says_what_every_extra_brings(command: Command) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(EXTRAS) == set(extras) - {"dev"}
    facts = command("doctor", "--json").json
    for name, (purpose, _) in EXTRAS.items():
        assert facts[f"extra {name}"].startswith(purpose)
        assert facts[f"extra {name}"].endswith(("installed", f"absent; pip install 'mitlgan[{name}]'"))


def test_a_licence_is_in_the_card(command: Command, packs: dict[str, Path], folder: Path) -> None:
    recipe = folder / "recipe.toml"
    recipe.write_text(to_toml(tiny_runs.recipe("bg", packs["bg"])))
    done = command("pretrain", "bg", "--recipe", recipe, "--licence", "CC-BY-4.0", "--json")
    assert done.code == 0, done.err
    assert read_card(Path(done.json["artifact"])).licence == "CC-BY-4.0"


def test_a_longer_run_says_what_its_falling_rate_does(command: Command, packs: dict[str, Path], folder: Path) -> None:
    recipe = with_overrides(tiny_runs.recipe("bg", packs["bg"], updates=4), generator_optimiser__schedule="linear")
    (folder / "recipe.toml").write_text(to_toml(recipe))
    run = command("pretrain", "bg", "--recipe", "recipe.toml", "--json").json["run"]
    done = command("resume", run, "--kimg", "+0.032")
    assert done.code == 0, done.err
    assert "generator_optimiser.schedule: the rate follows the longer run: at 0.032 kimg it goes from 0% to 50% of 0.001, and falls to 0%" in done.err
    assert "critic_optimiser.schedule" not in done.err


def test_a_bar_says_which_time_it_shows(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with search_progress(1):
        pass
    assert re.search(r"0:00:0\d\S* elapsed", capfd.readouterr().err)
    with progress_bar("cut") as show:
        show(1, 4)
    assert re.search(r"\d:[-\d]{2}:[-\d]{2}\S* left|-:--:--\S* left", capfd.readouterr().err)
