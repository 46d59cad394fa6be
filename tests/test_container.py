"""The Dockerfile's targets, as far as they can be tried without a container: their entry points and health checks are run here as they stand."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SECRET = "a secret of the tests, with signs: &?#"


@dataclass
class Stage:
    """One `FROM ... AS name` of the Dockerfile."""

    parent: str
    lines: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        return [rest for name, rest in self.lines if name == instruction]

    def command(self, instruction: str) -> list[str]:
        """The last one's words, which are in the form that starts no shell."""
        rest = self.all(instruction)[-1]
        words = json.loads(rest[rest.index("[") :])
        assert all(isinstance(word, str) for word in words)
        return list(words)


def stages() -> dict[str, Stage]:
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    found: dict[str, Stage] = {}
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        instruction, _, rest = line.strip().partition(" ")
        if instruction == "FROM":
            parent, name = rest.split(" AS ")
            found[name] = Stage(parent)
        elif instruction and found:
            list(found.values())[-1].lines.append((instruction, rest.strip()))
    return found


STAGES = stages()
TARGETS = ("studio", "notebook", "train")


def with_parents(name: str) -> Iterator[Stage]:
    while name in STAGES:
        yield STAGES[name]
        name = STAGES[name].parent


def here(words: list[str], **changed: str) -> list[str]:
    """A container's command with this interpreter and this package in place of its own."""
    programs = {"mitlgan": [sys.executable, "-m", "mitlgan"], "python": [sys.executable]}
    first = programs.get(words[0], [words[0]])
    return [*first, *(changed.get(word, word) for word in words[1:])]


def environment(**changed: str) -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key != "MITLGAN_STUDIO_TOKEN"} | {"OMP_NUM_THREADS": "1", **changed}


def test_train_is_built_where_no_target_is_named() -> None:
    assert list(STAGES)[-3:] == list(TARGETS)
    assert STAGES["train"].command("ENTRYPOINT") == ["mitlgan"]


@pytest.mark.parametrize("target", TARGETS)
def test_no_target_runs_as_root_or_under_a_shell_that_swallows_signals(target: str) -> None:
    (user,) = [user for stage in with_parents(target) for user in stage.all("USER")]
    assert user.split(":")[0] not in ("root", "0")
    words = STAGES[target].command("ENTRYPOINT")
    assert words[0] != "sh" or "; exec " in words[2]


@pytest.mark.parametrize("target", TARGETS)
def test_what_a_target_takes_is_there(target: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    ignored = {line.rstrip("/") for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()}
    (built,) = [name for rest in STAGES[target].all("COPY") for name in re.findall(r"--from=(\S+)", rest)]
    installed = [extra for rest in STAGES[built].all("RUN") for extra in "".join(re.findall(r"/source\[(.*?)\]", rest)).split(",") if extra]
    assert set(installed) <= set(extras)
    assert (target in installed) == (target in extras)
    assert {*extras["faces"], *extras["data"]} <= {package for extra in installed for package in extras[extra]}, "faces and `data split` work in all"
    for rest in STAGES[target].all("COPY"):
        if "--from=" not in rest:
            source = shlex.split(rest)[0]
            assert (ROOT / source).is_file()
            assert Path(source).parts[0] not in ignored


@pytest.mark.parametrize("token", [{}, pytest.param({"MITLGAN_STUDIO_TOKEN": ""}, marks=pytest.mark.slow)])
def test_the_studio_does_not_start_without_its_secret(token: dict[str, str], tmp_path: Path) -> None:
    words = here(STAGES["studio"].command("ENTRYPOINT"), **{"8765": "0"})
    done = subprocess.run(words, cwd=tmp_path, env=environment(**token), capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("--host 0.0.0.0: others could connect, so a secret is needed")


def test_the_studio_is_healthy_with_its_secret_and_ends_by_a_signal(tmp_path: Path) -> None:
    own = environment(MITLGAN_STUDIO_TOKEN=SECRET)
    words = here(STAGES["studio"].command("ENTRYPOINT"), **{"8765": "0"})
    with subprocess.Popen(words, cwd=tmp_path, env=own, stderr=subprocess.PIPE, text=True) as studio:
        try:
            assert studio.stderr is not None
            port = next(found.group(1) for line in studio.stderr if (found := re.search(r"http://127\.0\.0\.1:(\d+)/", line)))
            check = [word.replace("8765", port) for word in here(STAGES["studio"].command("HEALTHCHECK"))]
            assert subprocess.run(check, env=own, capture_output=True, timeout=60).returncode == 0
            wrong = environment(MITLGAN_STUDIO_TOKEN="another")
            assert subprocess.run(check, env=wrong, capture_output=True, timeout=60).returncode == 1
            studio.send_signal(signal.SIGTERM)
            started = time.monotonic()
            assert studio.wait(60) in (0, -signal.SIGTERM)
            assert time.monotonic() - started < 30
        finally:
            studio.kill()


def test_the_notebook_puts_the_tour_into_the_folder_and_keeps_ones_own(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    jupyter = tmp_path / "bin" / "jupyter"
    jupyter.write_text('#!/bin/sh\necho "$$" "$@"\n')
    jupyter.chmod(0o755)
    folder = tmp_path / "workspace"
    folder.mkdir()
    source, place = shlex.split(next(rest for rest in STAGES["notebook"].all("COPY") if "--from=" not in rest))
    words = [word.replace(place, str(ROOT / source)) for word in STAGES["notebook"].command("ENTRYPOINT")]
    assert place in "".join(STAGES["notebook"].command("ENTRYPOINT"))

    def started(*more: str) -> list[str]:
        own = environment(PATH=f"{jupyter.parent}:{os.environ['PATH']}")
        with subprocess.Popen([*words, *more], cwd=folder, env=own, stdout=subprocess.PIPE, text=True) as process:
            out, _ = process.communicate(timeout=60)
        number, *given = out.split()
        assert (process.returncode, int(number)) == (0, process.pid)  # signals reach it
        return given

    given = started("--debug")
    assert given[:2] == ["lab", "--ip=0.0.0.0"]
    assert given[-1] == "--debug"
    assert not any("token" in word or "password" in word for word in given)  # JupyterLab's own rule stands: no one enters without its token
    assert (folder / "tour.ipynb").read_bytes() == (ROOT / "recipes" / "tour.ipynb").read_bytes()
    (folder / "tour.ipynb").write_text("mine")
    started()
    assert (folder / "tour.ipynb").read_text() == "mine"
