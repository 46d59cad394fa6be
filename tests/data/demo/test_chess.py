"""The drawn domain: the same pictures from the same seed, with exact mattes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mitlgan.data.build.journal import JOURNAL_FILE
from mitlgan.data.demo import chess
from mitlgan.data.demo.chess import FOLDERS, HEIGHTS, draw_piece, draw_position, write_chess
from mitlgan.data.open import open_data
from mitlgan.errors import DataError, UsageError


def test_a_scene_is_its_layers_over_each_other() -> None:
    for index in range(12):
        layers = draw_position(index, 48)
        scene = layers.board.convert("RGBA")
        scene.alpha_composite(layers.far)
        scene.alpha_composite(layers.near)
        difference = np.abs(np.asarray(scene.convert("RGB")).astype(int) - np.asarray(layers.scene))
        assert difference.max() <= 3
        matte = np.asarray(layers.matte)
        assert (np.asarray(layers.scene)[matte == 0] == np.asarray(layers.board)[matte == 0]).all()
        assert 0.02 < (matte > 127).mean() < 0.4


def test_seed_and_index_decide() -> None:
    assert draw_position(3, 32).scene.tobytes() == draw_position(3, 32).scene.tobytes()
    assert draw_position(3, 32).scene.tobytes() != draw_position(4, 32).scene.tobytes()
    assert draw_position(3, 32).scene.tobytes() != draw_position(3, 32, seed=1).scene.tobytes()


@pytest.mark.parametrize("name", HEIGHTS)
def test_every_piece_stands_on_its_foot(name: str) -> None:
    piece = draw_piece(np.random.default_rng(0), name, 64, 0.6, (0.5, 0.9))
    box = piece.getchannel("A").getbbox()
    assert box is not None
    assert abs(box[3] - 0.9 * 64) <= 3
    assert abs(box[3] - box[1] - 0.6 * 64) <= 4
    assert abs(box[0] + box[2] - 64) <= 6


def test_the_sets_serve_three_layers(tmp_path: Path) -> None:
    assert write_chess(tmp_path, 5, 24) == dict.fromkeys(FOLDERS, 5)
    kinds = {folder: open_data(str(tmp_path / folder), "scene" if folder == "scene" else "fg", 16).fourth_channel for folder in FOLDERS}
    assert kinds == {"fg": "alpha", "far": "alpha", "bg": None, "scene": "matte"}
    scenes = {Image.open(path).tobytes() for path in (tmp_path / "scene").glob("*.png")}
    assert not scenes & {draw_position(index, 24).scene.tobytes() for index in range(5)}  # the layers' own positions are not the scenes'


def contents(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file() and not path.name.startswith(".")}


def test_a_layers_folder_may_be_a_link_to_another_disk(tmp_path: Path) -> None:
    out, disk = tmp_path / "out", tmp_path / "disk"
    write_chess(out, count=2, size_px=32)
    (out / "bg").rename(disk)
    (out / "bg").symlink_to(disk)
    lost = min(disk.iterdir())
    before = lost.read_bytes()
    lost.unlink()
    write_chess(out, count=2, size_px=32)
    assert lost.read_bytes() == before
    assert (out / "bg").is_symlink()


def test_stopped_it_goes_on_and_finished_it_draws_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def stop(done: int, _: int) -> None:
        if done == 2:
            raise Killed

    write_chess(tmp_path / "whole", 4, 16)
    with pytest.raises(Killed):
        write_chess(tmp_path / "cut", 4, 16, progress=stop)
    (tmp_path / "cut" / "far" / "00001.png").unlink(missing_ok=True)  # as if killed between two files
    assert write_chess(tmp_path / "cut", 4, 16) == dict.fromkeys(FOLDERS, 4)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    monkeypatch.setattr(chess, "draw_position", lambda *_: pytest.fail("drawn again"))
    write_chess(tmp_path / "cut", 4, 16)


@pytest.mark.parametrize("name", ["fg/00000.png", "far/00001.png", "bg/00001.png", "scene/00000.png", "scene/00001.matte.png"])
@pytest.mark.parametrize("kind", ["text", "cut", "size", "empty", "folder", "link"])
def test_another_file_under_the_name_of_a_picture_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    write_chess(tmp_path, 2, 16)
    path = tmp_path / name
    assert path.is_file()
    before = path.read_bytes()
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(tmp_path / "absent.png")
    elif kind == "size":
        Image.new("RGB", (15, 16)).save(path)
    else:
        path.write_bytes({"text": b"hi\n", "cut": before[: len(before) // 2], "empty": b""}[kind])
    with pytest.raises(
        DataError, match=rf"^{path}: has the name of a picture of 16 px, but is none \(.+\); remove it, and run the same command again$"
    ):
        write_chess(tmp_path, 2, 16)
    path.rmdir() if kind == "folder" else path.unlink()
    write_chess(tmp_path, 2, 16)
    assert path.read_bytes() == before


@pytest.mark.parametrize("settings", [(5, 16, 0), (4, 24, 0), (4, 16, 1)])
def test_other_settings_are_refused_with_and_without_a_journal(tmp_path: Path, settings: tuple[int, int, int]) -> None:
    write_chess(tmp_path, 4, 16)
    before = contents(tmp_path)
    with pytest.raises(UsageError, match=r"was made with other settings \(.* now \d+\); give another folder, or remove this one first"):
        write_chess(tmp_path, *settings)
    (tmp_path / JOURNAL_FILE).unlink()  # as an earlier version left it
    with pytest.raises(UsageError, match=r"holds other files, such as chess\.json"):
        write_chess(tmp_path, *settings)
    write_chess(tmp_path, 4, 16)
    assert contents(tmp_path) == before
