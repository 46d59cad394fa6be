"""`mitlgan doctor`: on a machine without a home that can be written, and for runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from helpers.commands import Command

from mitlgan import doctor
from mitlgan.training.run_directory import Run


def test_a_home_that_cannot_be_written_is_told_and_no_error(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(doctor, "measure_sgemm_gflops", lambda device: 1.0)
    for variable in ("MITLGAN_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    outcome = command("doctor", "--json")
    assert outcome.code == 0
    assert outcome.json["cache"].endswith("cannot create the cache (Not a directory); set MITLGAN_CACHE to a writable folder")
    monkeypatch.setattr(Path, "home", classmethod(lambda _: (_ for _ in ()).throw(RuntimeError("Could not determine home directory."))))
    outcome = command("doctor", "--json")
    assert outcome.code == 0
    assert "set MITLGAN_CACHE" in outcome.json["cache"]


def test_a_run_is_verified(command: Command, pretrained: dict[str, Run], tmp_path: Path) -> None:
    shutil.copytree(pretrained["fg"].path, tmp_path / "run")
    outcome = command("doctor", "--run", tmp_path / "run")
    assert outcome.code == 0
    assert "ok         generator.safetensors" in outcome.out.splitlines()
    assert "can be saved: the artifact generator.safetensors" in outcome.out.splitlines()
    (tmp_path / "run" / "generator.safetensors").write_bytes(b"version https://git-lfs")
    outcome = command("doctor", "--run", tmp_path / "run", "--json")
    assert outcome.code == 4
    assert outcome.json["whole"] is False
    assert outcome.json["files"]["generator.safetensors"].startswith("damaged: a Git-LFS pointer instead of weights")
    assert outcome.err == f"--run {tmp_path / 'run'}: 1 of {len(outcome.json['files'])} files cannot be used: generator.safetensors\n"
    outcome = command("doctor", "--run", tmp_path / "absent")
    assert outcome.code == 2
