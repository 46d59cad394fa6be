"""--extractor, given several times: every number carries its extractor, in text, JSON and card."""

from __future__ import annotations

import shutil
from pathlib import Path

from helpers.commands import Command

from mitlgan.artifacts.card import read_card
from mitlgan.artifacts.loaded_artifact import load_artifact
from mitlgan.artifacts.markdown_card import markdown_card
from mitlgan.training.run_directory import Run

NAMES = ("efficientnet-lite0@32", "efficientnet-lite0@64")


def test_several_extractors_measure_one_after_the_other(command: Command, folder: Path, composed: Run) -> None:
    assert composed.artifact_file is not None
    path = folder / "composer.safetensors"
    shutil.copyfile(composed.artifact_file, path)
    one, other = ([part for name in names for part in ("--extractor", name)] for names in (NAMES, NAMES[::-1]))
    same = ("evaluate", path, "-n", "12", "--split", "train")
    both = command(*same, *one, "--json").json
    assert list(both["by_extractor"]) == list(NAMES)
    assert {key: value for key, value in both.items() if key != "by_extractor"} == both["by_extractor"][NAMES[0]]
    for name, found in both["by_extractor"].items():
        assert {found[key]["extractor"] for key in ("frechet", "kid", "diversity")} == {name}
        assert found["frechet"]["name"] == f"FD ({name})"
        alone = command(*same, "--extractor", name, "--json").json
        assert "by_extractor" not in alone
        assert alone["frechet"]["value"] == found["frechet"]["value"]
    swapped = command(*same, *other, "--json").json
    assert swapped["frechet"] == both["by_extractor"][NAMES[1]]["frechet"]
    text = command(*same, *one, "--write-card").out
    for name in NAMES:
        assert text.count(f"FD ({name})") == text.count(f"KID ({name})") == 1
    assert text.count("Burnt-out pixels, dark end") == 1  # of pixels, whoever measures
    assert list(read_card(path).metrics["by_extractor"]) == list(NAMES)
    card = markdown_card(load_artifact(path))
    for name in NAMES:
        assert card.count(f"| FD ({name}) |") == 1


def test_an_extractor_is_named_once(command: Command, composed: Run) -> None:
    done = command("evaluate", composed.artifact_file, "--extractor", "efficientnet-lite0", "--extractor", "efficientnet-lite0@96")
    assert done.code == 2
    assert done.err.splitlines()[-1].endswith("--extractor efficientnet-lite0, efficientnet-lite0@96: one of them is named twice; give each once")
