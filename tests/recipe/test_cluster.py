"""Scripts for clusters: their syntax, and that every command and option in them exists."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import sys
from itertools import pairwise
from typing import Any

import click
import pytest
import yaml
from torch.distributed.run import get_args_parser

from mitlgan.cli.main import parser
from mitlgan.recipe import load_recipe, shipped_folder

CLUSTER = shipped_folder("recipes") / "cluster"
SCRIPT, JOB = CLUSTER / "train.sbatch", CLUSTER / "pytorchjob.yaml"
SBATCH_OPTIONS = {
    "job-name", "nodes", "ntasks-per-node", "gpus-per-node", "cpus-per-task", "time", "signal", "requeue", "open-mode", "output"
}  # fmt: skip


def options_of(command: str) -> set[str]:
    """The options of one of this project's commands, `train` or `runs ls`."""
    found: Any = parser()
    for name in command.split():
        with click.Context(found) as context:
            found = found.get_command(context, name)
    return {option for parameter in found.params for option in parameter.opts}


def check_mitlgan(words: list[str], command: str) -> None:
    """Every option after a command is one of its own."""
    used = {word for word in words if word.startswith("--")}
    assert used
    assert used <= options_of(command), command


def test_the_slurm_script_is_bash_and_its_options_exist() -> None:
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)
    text = SCRIPT.read_text(encoding="utf-8")
    directives = re.findall(r"^#SBATCH --([a-z-]+)", text, re.MULTILINE)
    assert set(directives) == SBATCH_OPTIONS
    assert text.index("#SBATCH --output") < text.index("\nset -euo pipefail"), "Slurm stops reading at the first command"
    launch = text[text.index("srun ") : text.index("|| code")].replace("\\\n", " ").split()
    at = launch.index("-m")
    assert launch[at : at + 3] == ["-m", "mitlgan", "train"]
    known = {option for action in get_args_parser()._actions for option in action.option_strings}
    used = {word for word in launch[launch.index("torchrun") : at] if word.startswith("--")}
    assert {"--max-restarts", "--rdzv-endpoint", "--nproc-per-node"} <= used <= known
    check_mitlgan(launch[at:], "train")
    listing = re.search(r"mitlgan runs ls (.*?) \|", text)
    assert listing is not None
    check_mitlgan(listing.group(1).split(), "runs ls")


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing() -> None:
    subprocess.run(["shellcheck", str(SCRIPT)], check=True)


def test_an_unfinished_run_is_what_the_script_queues_again() -> None:
    """Its pattern finds the states of runs as `mitlgan runs ls --json` writes them."""
    match = re.search(r"grep -Eq '(.*)'", SCRIPT.read_text(encoding="utf-8"))
    assert match is not None
    unfinished, ended = ("stopped", "stopped (killed)", "running"), ("done", "diverged", "failed", "nan")
    for state in (*unfinished, *ended):
        assert bool(re.search(match.group(1), json.dumps({"runs": [{"run": "x", "state": state}]}))) == (state in unfinished), state


def test_the_pytorchjob_is_yaml_and_its_options_exist() -> None:
    job = yaml.safe_load(JOB.read_text(encoding="utf-8"))
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "PyTorchJob")
    spec = job["spec"]
    elastic, worker = spec["elasticPolicy"], spec["pytorchReplicaSpecs"]["Worker"]
    assert elastic["minReplicas"] <= worker["replicas"] <= elastic["maxReplicas"]
    assert elastic["maxRestarts"] > 0
    pod = worker["template"]["spec"]
    (container,) = pod["containers"]
    assert container["name"] == "pytorch", "the operator looks for this name"
    assert container["command"] == ["torchrun", "-m", "mitlgan"]
    assert container["args"][0] == "train"
    check_mitlgan(container["args"], "train")
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    processes = int(spec["nprocPerNode"])
    assert container["resources"]["limits"]["nvidia.com/gpu"] == processes
    settings = [value for option, value in pairwise(container["args"]) if option == "--set"]
    batch = load_recipe(container["args"][1], settings).training.batch
    for count in range(elastic["minReplicas"], elastic["maxReplicas"] + 1):
        assert batch % (count * processes) == 0, count
        assert batch >= 2 * count * processes, count


def test_the_model_of_scaling_says_what_the_page_says(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    page = (CLUSTER / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^python recipes/cluster/scaling\.py (.*--batch \d+)$", page, re.MULTILINE)
    assert commands
    for command in commands:
        if "--measure" in command:
            continue
        monkeypatch.setattr(sys, "argv", ["scaling.py", *command.split()])
        runpy.run_path(str(CLUSTER / "scaling.py"), run_name="__main__")
        lines = capsys.readouterr().out.splitlines()
        assert lines
        for line in lines:
            assert line in page, line
