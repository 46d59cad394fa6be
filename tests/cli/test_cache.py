"""`mitlgan cache`: what is kept is shown with its size, and only that is cleared."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import pytest
from helpers import tiny_runs
from helpers.commands import Command

from mitlgan.data.open import open_data
from mitlgan.data.pack.cache_contents import clear_cache
from mitlgan.data.pack.writer import PackWriter
from mitlgan.errors import ResourceError
from mitlgan.runtime.file_locks import acquire_exclusive_lock


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("MITLGAN_CACHE", str(folder))
    return folder


def test_an_empty_cache_holds_nothing(command: Command, cache: Path) -> None:
    assert command("cache", "ls", "--json").json == {"folder": str(cache), "bytes": 0, "kinds": []}


def test_packs_are_counted_and_cleared_and_other_files_stay(command: Command, cache: Path) -> None:
    pack = open_data("demo", "bg", 8)
    own = cache / "letter.txt"
    own.write_text("dear")
    (row,) = command("cache", "ls", "--json").json["kinds"]
    assert row["kind"] == "packs"
    assert row["bytes"] >= pack.path.stat().st_size
    assert command("cache", "clear").out.startswith(f"{cache}: cleared ")
    assert [path.name for path in cache.rglob("*") if path.is_file()] == ["letter.txt"]
    assert open_data("demo", "bg", 8).content_sha256 == pack.content_sha256


def test_own_packs_and_layers_in_the_folder_of_the_cache_stay(command: Command, cache: Path) -> None:
    open_data("demo", "bg", 8)
    own = ["mine.npy", "mine.json", "mine.sources", ".mine.npy.0123abcd.part", "layers/fg/000000.png", "features/notes.npy", "measured/table.json"]
    kept = [f"features/{'0' * 32}.npy", f"measured/{'1' * 32}.json", f"layers/{'2' * 32}-{'3' * 16}/card.json", f"verified-packs/{'4' * 64}"]
    kept += [f".bg-8px-{'5' * 24}.npy.0123abcd.part", f"photos-train-bg-8px-{'6' * 24}.sources"]
    for name in own + kept:
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).write_text("x")
    kinds = {row["kind"] for row in command("cache", "clear", "--json").json["kinds"]}
    assert kinds == {"packs", "verified packs", "features", "measurements", "layers"}
    assert {path.relative_to(cache).as_posix() for path in cache.rglob("*") if path.is_file()} == set(own)


def test_a_user_without_a_home_folder_is_told_how_to_name_a_cache(command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MITLGAN_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def fails() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", fails)
    done = command("cache", "ls")
    assert (done.code, done.out) == (5, "")
    assert done.err == "cache: this user has no home folder; set MITLGAN_CACHE to a writable folder\n"
    pack = tiny_runs.pack(folder / "p.npy")
    assert len(open_data(str(pack), "bg", 8)) == 12  # a pack of one's own needs no cache


def test_files_that_another_process_writes_now_are_not_cleared(command: Command, cache: Path) -> None:
    names = [f".bg-8px-{'5' * 24}.npy.0123abcd.part", f"features/.{'0' * 32}.npy.tmp", f"measured/.{'1' * 32}.json.tmp"]
    for name in names:
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        for name in names:
            file = stack.enter_context((cache / name).open("wb"))
            assert acquire_exclusive_lock(file, cache)
        (cache / f"x-{'6' * 24}.sources").write_text("x")
        assert [(kind.name, kind.size_bytes) for kind in clear_cache(cache)] == [("packs", 1)]
        assert {path.relative_to(cache).as_posix() for path in cache.rglob("*") if path.is_file()} == set(names)
    assert [len(kind.files) for kind in clear_cache(cache)] == [1, 1, 1]


@pytest.mark.parametrize("suffix", ["part", "json.*.part"])
def test_a_pack_whose_files_were_removed_while_it_is_written_is_refused_in_one_line(cache: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write = PackWriter._write_manifest

    def remove(writer: PackWriter, handle: IO[bytes], manifest: dict[str, Any]) -> None:
        write(writer, handle, manifest)
        for path in cache.glob(f".*.{suffix}"):
            path.unlink()

    monkeypatch.setattr(PackWriter, "_write_manifest", remove)
    with pytest.raises(ResourceError, match=r"\.npy: another program has removed what was written of the pack; run the same command again$"):
        open_data("demo", "bg", 8)
