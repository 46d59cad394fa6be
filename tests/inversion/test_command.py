"""`mitlgan embed`: a latent file, a sheet and figures; and the pictures that it takes and refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mitlgan.artifacts.load_save import save_network
from mitlgan.artifacts.loaded_artifact import LoadedArtifact, load_artifact
from mitlgan.artifacts.sample_files import write_sample_files
from mitlgan.artifacts.samples import Samples
from mitlgan.cli import main
from mitlgan.editing import parse_latent
from mitlgan.images.pixels import to_uint8
from mitlgan.inversion import read_target
from mitlgan.runtime.files import sibling_path

QUICK = ["--starts", "64", "--restarts", "4", "--max-attempts", "1", "--steps", "20", "--polish-steps", "40"]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["mitlgan", "embed", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path, placed: LoadedArtifact) -> Path:
    save_network(tmp_path / "a.safetensors", placed.network, placed.card)
    write_sample_files([Samples(["one", "two"], placed.layers([1, 2]), [])], 2, tmp_path / "pictures")
    return tmp_path


def test_the_latent_file_suits_other_commands(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    picture, out = folder / "pictures" / "one.png", folder / "new" / "latent.json"
    assert run(monkeypatch, picture, "--artifact", folder / "a.safetensors", "--out", out, "--json", *QUICK) == 0
    (entry,) = json.loads(capsys.readouterr().out)["pictures"]
    artifact = load_artifact(folder / "a.safetensors")
    z = parse_latent(artifact, str(out), "--at")
    target = read_target(picture, artifact.card)
    error = float((artifact.images_from_latents(z[None])[0] - target).square().mean()) / 4
    assert entry["mse"] == pytest.approx(error, rel=1e-3)
    assert entry["psnr_db"] == pytest.approx(-10 * np.log10(error), abs=0.01)
    assert entry["psnr_db"] > 40
    with Image.open(sibling_path(out.with_suffix(""), "-sheet.png")) as sheet:
        assert sheet.width > 6 * 90, "target, found, two layers, matte, error"
    first = out.read_bytes()
    assert run(monkeypatch, picture, "--artifact", folder / "a.safetensors", "--out", out, *QUICK) == 2  # nothing is overwritten
    assert out.read_bytes() == first
    again = out.with_name("again.json")
    assert run(monkeypatch, picture, "--artifact", folder / "a.safetensors", "--out", again, *QUICK) == 0
    assert again.read_bytes() == first


def test_the_command_reports_a_time_limit(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--artifact", folder / "a.safetensors", "--out", folder / "late.json", *QUICK, "--steps", "100000", "--seconds", "0.1", "--goal", "120"]
    assert run(monkeypatch, folder / "pictures" / "one.png", *options) == 0
    assert "1 of 1 had not settled after 0.1 s, so that is the best until then; --seconds gives more" in capsys.readouterr().out


def test_latents_of_a_folder_have_a_folder_by_default(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for _ in range(2):
        assert run(monkeypatch, folder / "pictures", "--artifact", folder / "a.safetensors", *QUICK) == 0
    for name in ("latents", "latents-2"):
        assert sorted(path.name for path in (folder / name).iterdir()) == ["one.json", "two.json"]
        assert (folder / f"{name}-sheet.png").is_file()


def test_a_folder_gives_one_latent_each_and_the_mean(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, folder / "pictures", "--artifact", folder / "a.safetensors", "--out", folder / "found", *QUICK) == 0
    assert sorted(path.name for path in (folder / "found").iterdir()) == ["one.json", "two.json"]
    assert "mean of 2: " in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (["pictures", "--out", "x.json"], 2, "--out x.json: is one file for 2 pictures; give a folder"),
    (["pictures/one.png", "--out", "x.png"], 2, "--out x.png: ends like a picture; name a .json file or a folder"),
    (["pictures/one.png", "pictures", "--out", "x"], 2, "IMAGE: two pictures have one name"),
    (["none.png"], 3, "none.png: cannot be read"), (["a.safetensors"], 3, "a.safetensors: not a picture of an allowed format"),
    (["pictures/one.png", "--restarts", "9", "--starts", "3"], 2, "--restarts: 9 in each of 3 attempts are more than the 3 starts"),
    (["pictures/one.png", "--perceptual", "1", "--extractor", "nothing"], 2, "--extractor nothing: unknown"),
])  # fmt: skip
def test_invalid_arguments_are_refused(
    arguments: list[str], code: int, message: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    assert run(monkeypatch, *arguments, "--artifact", "a.safetensors") == code
    assert capsys.readouterr().err.startswith(message)


def test_any_picture_gets_the_artifacts_size(folder: Path, fg: LoadedArtifact) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "wide.png")
    target = read_target(folder / "wide.png", fg.card)
    square = Image.fromarray(pixels).resize((8, 8), Image.Resampling.LANCZOS, box=(10, 0, 40, 30))
    assert torch.equal(to_uint8(target[None])[0], torch.from_numpy(np.asarray(square).copy()).permute(2, 0, 1))


def test_a_cut_out_stands_before_the_colour_that_the_artifact_learned(folder: Path, fg: LoadedArtifact) -> None:
    Image.new("RGBA", (8, 8), (200, 100, 0, 0)).save(folder / "empty.png")
    for backdrop in ((255, 255, 255), (0, 9, 200)):
        card = fg.card.model_copy(update={"recipe": {"data": {"backdrop": list(backdrop)}}})
        assert tuple(to_uint8(read_target(folder / "empty.png", card)[None])[0, :, 0, 0].tolist()) == backdrop


def test_a_cut_out_keeps_its_transparency(folder: Path, placed: LoadedArtifact) -> None:
    card = placed.card.model_copy(update={"image_channels": 4})
    Image.new("RGBA", (8, 8), (200, 100, 0, 128)).save(folder / "clear.png")
    target = read_target(folder / "clear.png", card)
    assert to_uint8(target[None])[0, :, 0, 0].tolist() == [100, 50, 0, 128], "premultiplied"
