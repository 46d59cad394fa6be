"""What packs say about their pictures: transparency that is not kept is said in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import images
from PIL import Image

from mitlgan.cli.main import app
from mitlgan.data.build.notes import describe_lost_transparency
from mitlgan.data.open import open_data
from mitlgan.data.pack.image_pack import PREPARED_PACK, ImagePack

COMMANDS = {
    "pack": (["pack", "in", "--out", "a.npy", "--size", "16"], "a.npy", "white; `mitlgan data pack"),
    "read": (["read", "folder", "in", "--out", "a.npy", "--size", "16"], "a.npy", "white; `mitlgan data pack"),
    "prepare": (["prepare", "in", "--out", "a", "--size", "16"], f"a/{PREPARED_PACK}", "white; `mitlgan data prepare"),
    "on black": (["prepare", "in", "--out", "a", "--size", "16", "--backdrop", "black"], f"a/{PREPARED_PACK}", "black; `mitlgan data prepare"),
    "on pink": (["prepare", "in", "--out", "a", "--size", "16", "--backdrop", "#ffa0c0"], f"a/{PREPARED_PACK}", "#ffa0c0; `mitlgan data prepare"),
}


def cut_outs(folder: Path, count: int) -> None:
    for index in range(count):
        picture = images.smooth(50 + index, (32, 32)).convert("RGBA")
        picture.putalpha(Image.fromarray(np.tri(32, dtype=np.uint8) * 255))
        picture.save(folder / f"cut{index}.png")


@pytest.mark.parametrize("kind", COMMANDS)
def test_lost_transparency_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    monkeypatch.chdir(tmp_path)
    cut_outs(images.fill(Path("in"), 3, size=(32, 32)), 5)
    words, path, where = COMMANDS[kind]
    app(["data", *words], standalone_mode=False)
    lines = [line for line in "".join(capsys.readouterr()).splitlines() if "transparency" in line]
    assert lines == [f"  the transparency of 5 of 8 pictures is not kept but laid on {where} --keep-alpha` keeps it as a fourth channel"]
    assert len(ImagePack.open(Path(path)).manifest["leftovers"]["remarks"]) == 1


@pytest.mark.parametrize(("kind", "alpha"), [("pack", True), ("prepare", True), ("pack", False), ("prepare", False)])
def test_nothing_is_said_where_none_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str, alpha: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    images.fill(Path("in"), 3, size=(32, 32))
    if alpha:
        cut_outs(Path("in"), 3)
    app(["data", *COMMANDS[kind][0], *(["--keep-alpha"] if alpha else [])], standalone_mode=False)
    assert "transparency" not in "".join(capsys.readouterr())


def test_a_training_is_not_told_how_to_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITLGAN_CACHE", str(tmp_path / "cache"))
    cut_outs(images.fill(tmp_path / "in", 3, size=(32, 32)), 1)
    said: list[str] = []
    open_data(str(tmp_path / "in"), "bg", 16, say=said.append)
    assert not [line for line in said if "--keep-alpha" in line]


def test_only_a_loss_is_described() -> None:
    assert describe_lost_transparency(0, 5, (255, 255, 255), "pack") == []
    (line,) = describe_lost_transparency(1200, 34000, (1, 2, 3), "pack")
    assert line.startswith("the transparency of 1,200 of 34,000 pictures is not kept but laid on #010203; ")
