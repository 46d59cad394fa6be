"""A process that has imported everything, and forks a training for each line on stdin; the test kills it, and asks how it ended.

It computes nothing itself, so that its copies may.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = "from helpers.crash_server import serve; serve()"


def serve() -> None:
    """Answer each line "RECIPE<tab>ROOT" with the process number of its training, and each empty line with its exit code."""
    from helpers import tiny_runs
    from mitlgan.recipe import load_recipe
    from mitlgan.stages.existing_runs import get_or_train

    process = 0
    print("ready", flush=True)
    for line in sys.stdin:
        if not line.strip():
            print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
            continue
        recipe, root = line.rstrip("\n").split("\t")
        process = os.fork()
        if process == 0:
            code = 1
            try:
                get_or_train(load_recipe(Path(recipe)), tiny_runs.run_context(Path(root)))
                code = 0
            finally:
                os._exit(code)
        print(process, flush=True)


class CrashServer:
    """Starts trainings that may be killed."""

    def __init__(self) -> None:
        paths = os.pathsep.join([str(Path(__file__).resolve().parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
        self._server = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=environment
        )
        assert self._answer() == "ready"

    def start(self, recipe: Path, root: Path) -> int:
        """Start or continue the training of a recipe; return its process number."""
        return int(self._ask(f"{recipe}\t{root}\n"))

    def wait(self) -> int:
        """Return the exit code of the last training; negative if a signal ended it."""
        return int(self._ask("\n"))

    def close(self) -> None:
        """End the process."""
        self._server.kill()
        self._server.communicate()

    def _ask(self, line: str) -> str:
        assert self._server.stdin is not None
        self._server.stdin.write(line)
        self._server.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._server.stdout is not None
        return self._server.stdout.readline().strip()
