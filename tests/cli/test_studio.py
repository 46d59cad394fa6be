"""`mitlgan studio`: what it refuses before it listens, and that it ends in good order."""

from __future__ import annotations

import io
import re
import signal
import socket
from pathlib import Path

import httpx2 as httpx
import pytest
from helpers.commands import Command, start
from PIL import Image


def test_what_cannot_be_served_is_refused_in_one_line(command: Command, artifacts: dict[str, Path], tmp_path: Path) -> None:
    for arguments, code, line in (
        (("--host", "0.0.0.0"), 2, "--host 0.0.0.0: others could connect"),
        (("--token", ""), 2, "--token: is empty"),
        ((tmp_path / "none",), 4, f"{tmp_path / 'none'}: no such artifact"),
        ((tmp_path,), 4, f"{tmp_path}: holds no artifact"),
        (("--port", 70000), 2, "--port:"),
        (("--data", tmp_path / "none"), 3, f"--data {tmp_path / 'none'}: no such folder or file"),
    ):
        done = command("studio", *arguments)
        assert (done.code, done.out, len(done.err.splitlines())) == (code, "", 1)
        assert done.err.startswith(line)


def test_a_port_in_use_is_told(command: Command, artifacts: dict[str, Path], folder: Path) -> None:
    (folder / "empty").mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = command("studio", artifacts["fg"], "--data", folder / "empty", "--port", taken.getsockname()[1])
    assert done.code == 5
    note, line = done.err.splitlines(keepends=True)
    assert note == f"--data {folder / 'empty'}: holds no pictures yet; put some there before you train\n"
    assert re.fullmatch(r"--port \d+: is in use; \d+ is free, or choose another\n", line)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, -signal.SIGTERM)])
def test_it_ends_in_good_order_in_the_middle_of_a_job(artifacts: dict[str, Path], tmp_path: Path, number: signal.Signals, code: int) -> None:
    process = start("studio", artifacts["bg"], "--port", "0", "--runs", tmp_path)
    assert process.stderr is not None
    found = re.search(r"http://[0-9.:]+", process.stderr.readline())
    assert found is not None
    picture = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(picture, "PNG")
    with httpx.Client(base_url=found.group(), timeout=30) as client:
        artifact = client.get("/api/artifacts").json()[0]["id"]
        begun = client.post(
            "/api/embed", params={"artifact": artifact, "seconds": 60}, content=picture.getvalue(), headers={"Content-Type": "image/png"}
        )
        with client.stream("GET", f"/api/jobs/{begun.json()['job']}/events") as events:
            lines = events.iter_lines()
            assert next(lines)  # it works
            process.send_signal(number)
            rest = [line for line in lines if line.startswith("event: ")]
    assert rest[-1] in ("event: cancelled", "event: done")
    assert process.wait(20) == code
    assert process.stderr.read() == ""
