"""`mitlgan completion`: scripts that shells accept, and that complete what the parser knows."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.commands import Command

ASK = """
source {script}
COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_mitlgan
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def _complete(script: Path, words: str) -> list[str]:
    done = subprocess.run(["bash", "--norc", "-c", ASK.format(script=script, words=words)], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.fixture
def script(command: Command, folder: Path) -> Path:
    path = folder / "mitlgan.bash"
    path.write_text(command("completion", "bash").out)
    return path


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_commands_options_and_files(script: Path, folder: Path) -> None:
    assert _complete(script, "mitlgan com") == ["compose", "compare", "completion"]
    assert _complete(script, "mitlgan data sp") == ["split"]
    assert _complete(script, "mitlgan pretrain ''")[:3] == ["fg", "bg", "scene"]
    assert _complete(script, "mitlgan sample runs --see") == ["--seed"]
    assert "--reuse" not in _complete(script, "mitlgan data split --")
    assert {"--out", "--holdout", "--help"} <= set(_complete(script, "mitlgan data split photos --"))
    (folder / "photographs").mkdir()
    assert _complete(script, "mitlgan make photo") == ["photographs"]


def test_every_command_and_option_is_in_every_script(command: Command) -> None:
    for shell in ("bash", "zsh", "fish"):
        text = command("completion", shell).out
        for word in ("make", "completion", "matte-iou", "holdout", "dry-run", "truncation"):
            assert word in text, (shell, word)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_accept_their_script(command: Command, folder: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    path = folder / f"mitlgan.{shell}"
    path.write_text(command("completion", shell).out)
    assert subprocess.run([shell, "-n", str(path)], capture_output=True).returncode == 0


def test_an_unknown_shell_is_refused(command: Command) -> None:
    done = command("completion", "tcsh")
    assert done.code == 2
    assert "bash" in done.err


@pytest.mark.parametrize(
    ("shell", "target"), [("bash", ".local/share/bash-completion/completions/mitlgan"), ("fish", ".config/fish/completions/mitlgan.fish")]
)
def test_the_lines_of_the_help_can_be_pasted(command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch, shell: str, target: str) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    text = command("completion", "--help").out
    lines = re.search(rf"^ +{shell}: (.*\n {{8}}.*)$", text, re.MULTILINE)
    assert lines is not None, text
    script = f"mitlgan() {{ echo script of $2; }}\n{lines.group(1)}"
    assert subprocess.run(["bash", "-ec", script], env={"HOME": str(folder), "PATH": "/usr/bin:/bin"}).returncode == 0
    assert (folder / target).read_text() == f"script of {shell}\n"
