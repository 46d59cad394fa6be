"""Self-recovery of an artifact's own images."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from mitlgan.artifacts.load_save import save_network
from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.cli import main
from mitlgan.inversion import InversionSettings
from mitlgan.inversion.self_recovery import measure_self_recovery

QUICK = InversionSettings(starts=64, restarts=4, attempts=1, steps=20, polish_steps=40)


def test_each_part_is_compared_as_placed(placed: LoadedArtifact) -> None:
    recovery = measure_self_recovery(placed, QUICK, count=3, seed=5)
    truth, stages = placed.layers([5, 6, 7]), recovery.result.stages
    assert list(recovery.psnr_db) == ["output", "fg", "bg"]
    for name, one, other in (
        ("output", truth.output, stages.output), ("fg", truth.placed["fg"], stages.placed["fg"]), ("bg", truth.layers["bg"], stages.layers["bg"]),
    ):  # fmt: skip
        errors = ((one.numpy().astype(float) - other.numpy()) ** 2).mean((1, 2, 3)) / 4
        assert np.allclose(recovery.psnr_db[name], -10 * np.log10(np.maximum(errors, 1e-12)), atol=1e-3)
    figures = json.loads(json.dumps(recovery.as_json(QUICK)))
    assert figures["parts"]["bg"]["worst"] == recovery.psnr_db["bg"].min()
    assert [row["seed"] for row in figures["pictures"]] == [5, 6, 7]
    assert figures["seconds_longest"] >= figures["seconds_median"] > 0


def test_a_generator_has_one_part(fg: LoadedArtifact) -> None:
    recovery = measure_self_recovery(fg, QUICK, count=2, seed=0)
    assert list(recovery.psnr_db) == ["output"]
    assert recovery.psnr_db["output"].min() > 45


def test_the_command_prints_all_parts(
    tmp_path: Path, placed: LoadedArtifact, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_network(tmp_path / "a.safetensors", placed.network, placed.card)

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["mitlgan", "embed-score", str(tmp_path / "a.safetensors"), "--self", "-n", "1", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    assert run("--seed", "3") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1 pictures of its own, seeds 3 to 3; PSNR (dB), median and worst"
    assert [line.split(":")[0] for line in lines[1:4]] == ["whole", "fg", "bg"]
    assert run("--data", "demo") == 2
    assert capsys.readouterr().err == "--data: is of other pictures, --self of those that the artifact makes; give one of them\n"
