"""Every command and the Python example of the README, run as a reader would, with short trainings."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mitlgan.cli import main
from mitlgan.data.demo.chess import draw_position

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHORT = ["--set", "training.kimg=0.05", "--set", "training.batch=8", "--set", "evaluation.samples=48", "--threads", "1"]
SHORTER = {
    "--kimg +50": "--kimg +0.05",
    "-n 2000": "-n 48",
    "-n 990": "-n 8",
    "-n 100": "-n 2",
    "--extractor NAME": "--extractor efficientnet-lite0",
}
# Run by `.ci/run` as they stand; the demo's other forms have tests of their own.
BY_CI = {"mitlgan demo", "mitlgan demo --quick", "mitlgan demo --from pretrained"}
# Minutes of measuring, hours of training, a server; they have tests of their own.
ELSEWHERE = {
    "mitlgan studio",  # until it is told to stop
    "mitlgan embed-score pretrained/bg-32 --self -n 8 --seed 2000 --max-attempts 3 --write-card",
    "mitlgan embed-score pretrained/modern-32 --self -n 16 --seed 18000 --max-attempts 3 --write-card",
    "mitlgan embed-score pretrained/bg-32 -n 8 --write-card",
    "mitlgan embed-score pretrained/modern-32 -n 4 --write-card",
    "mitlgan embed-score pretrained/bg-32 -n 6 --perceptual 0.01",
    "mitlgan bench",
    "mitlgan evaluate pretrained/modern-32 --separation -n 1500",
    "mitlgan evaluate pretrained/thesis-narrow-32 -n 512",
    "mitlgan compare --recipe recommended/compose-32 --fg FG --bg BG --baseline recommended/wgan-32 --baseline recommended/scene-32 "
    "--baseline paste --equal cpu-seconds --count-pretraining --budgets 20,40,80 --seeds 3 --pretrain-seeds --jobs 2 -n 5000",
    "mitlgan sweep 'classic/akel-*' --data DIR --scale 0.1",
    "mitlgan compare --recipe thesis-32/compose --baseline wgan --baseline wgan-finetuned --baseline paste --budgets 5,10,20 --seeds 3 --jobs 2 "
    "--stage-only",
}


# Run in a test of its own: commands after it take the newest composition, and ask for its layer fg.
THREE = (
    "mitlgan compose --recipe recommended/three-32 --layer bg=pretrained/modern-bg-32 "
    "--layer far=pretrained/modern-fg-32 --layer near=pretrained/modern-fg-32"
)
# Likewise: of 64 px.
GROWN = (
    "mitlgan pretrain fg --recipe recommended/fg-64-grown --from pretrained/modern-fg-32",
    "mitlgan pretrain bg --recipe recommended/bg-64-grown --from pretrained/modern-bg-32",
    "mitlgan compose --recipe recommended/compose-64-grown",
)
# With trainings of their own: run in a test of their own.
LAYERS = README[README.index("## Layers from your own pictures") : README.index("## How far to trust the numbers")]


def commands(text: str) -> list[str]:
    """What stands in sh blocks or backticks and begins with `mitlgan`."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    found = [line.strip() for block in blocks for part in block.splitlines() for line in part.split("&&")]
    found += list(re.findall(r"`([^`\n]+)`", text))
    return [command for command in dict.fromkeys(found) if command.startswith("mitlgan ")]


def run(line: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["mitlgan", *shlex.split(line)[1:]])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the README's placeholders: DIR has pictures, photo.png is one, mask.png its hole; PHOTOS and SCENES those of objects in
    places, MATTES their truth.
    """
    monkeypatch.chdir(tmp_path)
    pictures = tmp_path / "DIR"
    pictures.mkdir()
    noise = np.random.default_rng(0)
    for index in range(12):
        Image.fromarray(noise.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(pictures / f"{index}.png")
    shutil.copy(pictures / "0.png", tmp_path / "photo.png")
    mask = Image.new("L", (40, 40))
    mask.paste(255, (5, 9, 15, 30))
    mask.save(tmp_path / "mask.png")
    for name in ("PHOTOS", "SCENES", "MATTES"):
        (tmp_path / name).mkdir()
    for index in range(24):
        layers = draw_position(index, 96)
        layers.scene.save(tmp_path / "PHOTOS" / f"{index}.png")
        if index >= 4:
            continue
        layers.scene.save(tmp_path / "SCENES" / f"{index}.png")
        layers.matte.save(tmp_path / "MATTES" / f"{index}.png")
    (tmp_path / "exclude.txt").write_text("1.png\n")
    (tmp_path / "keep.txt").write_text("3.png\n")
    shutil.copytree(ROOT / "pretrained", tmp_path / "pretrained")
    return tmp_path


def test_every_command_of_the_readme_works(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = [command for command in commands(README.replace(LAYERS, "")) if command not in BY_CI | ELSEWHERE | {THREE, *GROWN}]
    assert {"mitlgan pretrain fg", "mitlgan pretrain bg", "mitlgan compose", "mitlgan compare --baseline wgan"} <= set(wanted)
    execute(wanted, folder, monkeypatch, capsys)
    assert list((folder / "runs" / "compare").glob("*/report.html")), "compare wrote its report"


def test_three_layers_are_composed(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert THREE in commands(README)
    execute([THREE], folder, monkeypatch, capsys)
    assert list((folder / "runs" / "compose").glob("*/composer.safetensors"))


def test_layers_grow_and_are_composed(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert set(GROWN) <= set(commands(README))
    execute(list(GROWN), folder, monkeypatch, capsys)
    assert list((folder / "runs" / "compose").glob("*/composer.safetensors"))


def test_one_folder_of_pictures_becomes_a_composition(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("cv2")
    wanted = [command for command in commands(LAYERS) if command not in ELSEWHERE]
    assert [command.split()[1] for command in wanted[:5]] == ["data", "data", "pretrain", "pretrain", "compose"]
    execute(wanted, folder, monkeypatch, capsys)
    assert (folder / "layers" / "sheet.html").is_file()
    assert (folder / "check.html").is_file()


def execute(wanted: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Run commands in turn, placeholders replaced, trainings shortened."""
    for command in wanted:
        line = command
        for whole, shorter in SHORTER.items():
            line = line.replace(whole, shorter)
        if " RUN" in line:
            line = line.replace("RUN", str(max((folder / "runs" / "pretrain").iterdir())))
        if " ARTIFACT" in line:
            line = line.replace("ARTIFACT", str(max((folder / "runs" / "compose").iterdir())))
        if line.split()[1] in ("pretrain", "compose", "train"):
            line += " " + shlex.join(SHORT)
        if line.split()[1] == "evaluate":
            line += " --threads 1"
        code = run(line, monkeypatch)
        assert code == 0, f"{command}: {capsys.readouterr().err}"


def test_the_python_example_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, object] = {}
    exec(example, names)
    images, stages = names["images"], names["stages"]
    assert tuple(images.shape) == (3, 3, 32, 32)  # type: ignore[attr-defined]
    assert float(images.min()) >= -1  # type: ignore[attr-defined]
    assert float(images.max()) <= 1  # type: ignore[attr-defined]
    fg, bg = stages.layers["fg"], stages.layers["bg"]  # type: ignore[attr-defined]
    assert bool((fg[0] == fg[1]).all()), "one object"
    assert not bool((bg[0] == bg[1]).all()), "in three places"


def test_every_file_of_the_readme_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if "://" not in target:
            assert (ROOT / target).is_file(), target
