"""Every command and the Python example of the README, run as a reader would, with short trainings."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from mitlgan.cli import main
from mitlgan.cli.main import parser
from mitlgan.data.demo.chess import draw_position

ROOT_COMMAND = parser()
ROOT = Path(__file__).resolve().parent.parent
DOCS = ("docs/photographs.md", "docs/files.md", "recommended/results/README.md", "classic/results/README.md")
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHORT = ["--set", "training.kimg=0.05", "--set", "training.batch=8", "--set", "evaluation.samples=48", "--threads", "1"]
# Run by `.ci/run`; the demo's other forms have tests of their own.
BY_CI = {"mitlgan demo", "mitlgan demo --quick"}
# Run in tests of their own: servers, measurements of minutes, trainings at 64 px.
ELSEWHERE = {"mitlgan studio --runs mitlgan-demo/runs", "mitlgan make PHOTOS --minutes 12"}
GROWN = "mitlgan pretrain fg --recipe recommended/fg-64-sharp --from pretrained/modern-fg-wide-32"
# From the page of the shipped artifacts.
THREE = (
    "mitlgan compose --recipe recommended/three-32 --layer bg=pretrained/modern-bg-32 "
    "--layer far=pretrained/modern-fg-32 --layer near=pretrained/modern-fg-32"
)
# With trainings of their own: run in a test of their own.
OWN_PICTURES = README[README.index("## Your own pictures") : README.index("## What to expect")]
FEW = README[README.index("## Few pictures?") : README.index("## Use the result")]
PAGES = ("README.md", "CONTRIBUTING.md", "pretrained/README.md", *(f"recipes/{page}" for page in DOCS))


def commands(text: str) -> list[str]:
    """What stands in sh blocks or backticks and begins with `mitlgan`."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    found = [line.strip() for block in blocks for part in block.replace("\\\n", " ").splitlines() for line in part.split("&&")]
    found += list(re.findall(r"`([^`\n]+)`", text))
    return [command for command in dict.fromkeys(found) if command.startswith("mitlgan ")]


def run(line: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["mitlgan", *shlex.split(line)[1:]])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def placeholders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The README's placeholders: DIR has pictures, photo.png is one, mask.png its hole; PHOTOS and SCENES those of objects in places, MATTES their
    truth.
    """
    tmp_path = tmp_path_factory.mktemp("placeholders")
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
    return tmp_path


@pytest.fixture
def folder(placeholders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder but for the placeholders and the shipped artifacts."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(placeholders, tmp_path, dirs_exist_ok=True)
    (tmp_path / "pretrained").symlink_to(ROOT / "pretrained")
    return tmp_path


def test_every_command_of_the_readme_works(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [command for command in commands(README.replace(OWN_PICTURES, "").replace(FEW, "")) if command not in BY_CI | ELSEWHERE | {GROWN}]
    lines = [line for line in lines if line.split()[1] not in ("COMMAND", "resume")]
    execute(["mitlgan compose --recipe recommended/compose-32", *lines], folder, monkeypatch, capsys)
    assert (folder / "morph.webp").is_file()
    assert (folder / "child.png").is_file()


@pytest.mark.slow  # cli/test_train.py runs the same at 8 px
def test_the_fixed_commands_work(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    execute(["mitlgan pretrain fg", "mitlgan pretrain bg", "mitlgan compose", "mitlgan compare --baseline wgan"], folder, monkeypatch, capsys)
    assert list((folder / "runs" / "compare").glob("*/report.html")), "compare wrote its report"
    execute(["mitlgan resume runs/pretrain/fg-001 --kimg +0.05"], folder, monkeypatch, capsys)


def test_three_layers_are_composed(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert THREE in (ROOT / "pretrained" / "README.md").read_text(encoding="utf-8")
    execute([THREE], folder, monkeypatch, capsys)
    assert list((folder / "runs" / "compose").glob("*/composer.safetensors"))


def test_layers_grow(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert GROWN in commands(README)
    execute([GROWN], folder, monkeypatch, capsys)
    assert list((folder / "runs" / "pretrain").glob("*/generator.safetensors"))


@pytest.mark.slow  # each of its commands has quick tests of its own, and the spelling of all is checked below
def test_one_folder_of_pictures_becomes_a_composition(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("cv2")
    lines = [command for command in commands(OWN_PICTURES) if "resume" not in command and command not in ELSEWHERE]
    assert [command.split()[1] for command in lines[:6]] == ["data", "data", "pretrain", "pretrain", "compose", "compare"]
    execute([*lines, *commands(FEW)], folder, monkeypatch, capsys)
    assert (folder / "layers" / "sheet.html").is_file()
    assert (folder / "check.html").is_file()


@pytest.mark.parametrize("page", PAGES)
def test_every_command_on_every_page_is_spelled_right(page: str) -> None:
    lines = [line for line in commands((ROOT / page).read_text(encoding="utf-8")) if not {"COMMAND", "..."} & set(line.split())]
    for line in lines:
        command: click.Command = ROOT_COMMAND
        words = shlex.split(line)[1:]
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]  # type: ignore[attr-defined]
        assert not hasattr(command, "commands") or not words or words == ["--help"], line
        if "--help" not in words:
            command.make_context(line, words, resilient_parsing=True)


def test_the_readme_is_short() -> None:
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    assert len(README.split()) <= 1400
    sentences = re.split(r"(?<=[.?!:;|])\s+|\n\n", re.sub(r"`[^`]*`|\([^)]*\)|!?\[|\]|\*", "", prose))
    assert not [sentence for sentence in sentences if len(sentence.split()) > 32 and "|" not in sentence]


def execute(wanted: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Run commands in turn, placeholders replaced, trainings shortened."""
    for command in wanted:
        line = command
        if " RUN" in line:
            line = line.replace("RUN", str(max((folder / "runs" / "pretrain").iterdir())))
        if " ARTIFACT" in line:
            line = line.replace("ARTIFACT", str(max((folder / "runs" / "compose").iterdir())))
        if line.split()[1] in ("pretrain", "compose", "train"):
            line += " " + shlex.join(SHORT)
        if line.split()[1] == "evaluate":
            line += " --threads 1"
        if line.split()[1] == "embed":
            line += " --starts 64 --restarts 1 --max-attempts 1 --steps 10 --polish-steps 5"
        line = line.replace("--seconds 10", "--seconds 1")
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


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text(encoding="utf-8")):
        if "://" not in target:
            assert ((ROOT / page).parent / target).is_file(), target
