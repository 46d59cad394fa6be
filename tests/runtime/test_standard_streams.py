"""Messages that cannot be written end no work."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import pytest

from mitlgan.runtime.progress import BarReporter, PlainReporter, Reporter, print_message
from mitlgan.runtime.standard_streams import LastingStream, lasting, lasting_standard_streams


def without_reader() -> TextIO:
    """A pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w", buffering=1)


def on_a_full_disk() -> TextIO:
    return open("/dev/full", "w", buffering=1)  # noqa: PTH123  (closed by `broken`)


def closed() -> TextIO:
    stream = io.StringIO()
    stream.close()
    return stream


def hung_up() -> TextIO:
    """A terminal that was closed."""
    master, slave = os.openpty()
    os.close(master)
    return os.fdopen(slave, "w", buffering=1)


BROKEN: dict[str, Callable[[], TextIO]] = {"pipe": without_reader, "full": on_a_full_disk, "closed": closed, "terminal": hung_up}


@pytest.fixture(params=BROKEN)
def broken(request: pytest.FixtureRequest) -> Iterator[TextIO]:
    stream = BROKEN[request.param]()
    yield stream
    with suppress(OSError):  # what is buffered has no place
        stream.close()


def test_what_cannot_be_written_is_dropped(broken: TextIO) -> None:
    with pytest.raises((OSError, ValueError)):  # noqa: PT012
        broken.write("a line\n")
        broken.flush()
    stream = lasting(broken)
    assert stream.write("a line\n") == 7
    stream.flush()
    assert stream.isatty() is False


def test_what_can_be_written_is_written() -> None:
    stream = io.StringIO()
    print("a line", file=lasting(stream))
    assert stream.getvalue() == "a line\n"
    once = lasting(stream)
    assert lasting(once) is once
    assert isinstance(once, LastingStream)
    assert print("a line", file=lasting(None)) is None


@pytest.mark.parametrize("make", [lambda: PlainReporter("x", 0.0), lambda: BarReporter("x")], ids=["plain", "bar"])
def test_a_reporter_ends_no_work(broken: TextIO, make: Callable[[], Reporter], monkeypatch: pytest.MonkeyPatch) -> None:
    """In a program that imports the package, whose stderr is its own."""
    monkeypatch.setattr(sys, "stderr", broken)
    print_message("a message")
    reporter = make()
    for kimg in range(3):
        reporter.update({"state": "running", "kimg": float(kimg), "target_kimg": 3.0})
        reporter.say("a line")
    reporter.close()


def test_a_stream_of_another_file_keeps_its_file() -> None:
    """Only the process's own stderr is led elsewhere: another file may have space again."""
    with Path("/dev/full").open("w") as stream:
        print("a line", file=lasting(stream), flush=True)
        assert Path(f"/proc/self/fd/{stream.fileno()}").resolve() == Path("/dev/full")
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def test_characters_that_an_encoding_lacks_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = {name: io.BytesIO() for name in ("stdout", "stderr")}
    for name, stream in raw.items():
        monkeypatch.setattr(sys, name, io.TextIOWrapper(stream, encoding="ascii"))
    before = sys.stdout, sys.stderr
    with lasting_standard_streams():
        print("1.5 ± 0.1")
        print("pk_ü", file=sys.stderr, flush=True)
    assert (sys.stdout, sys.stderr) == before
    assert raw["stdout"].getvalue() == b"1.5 \\xb1 0.1\n"
    assert raw["stderr"].getvalue() == b"pk_\\xfc\n"


PROGRAM = """
import os, subprocess, sys, warnings
from mitlgan.runtime.standard_streams import lasting_standard_streams
with lasting_standard_streams(), open(sys.argv[1], "w") as file:
    for _ in range(3):
        print("a line", file=sys.stderr, flush=True)
    warnings.warn("a warning")
    os.write(2, b"of a library")
    child = subprocess.run([sys.executable, "-c", "import sys; print('of a child', file=sys.stderr, flush=True)"])
    file.write(f"{file.fileno() > 2} {child.returncode}")
    print("a result")
"""


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", ">&- 2>&-", "2>&1 >&- <&- | true", "2>/dev/full >&-"])
def test_a_process_goes_on_without_its_streams(redirection: str, tmp_path: Path) -> None:
    """What it opens afterwards never has a standard stream's number, and what it starts can write."""
    (tmp_path / "program.py").write_text(PROGRAM)
    command = f"set -o pipefail; {sys.executable} {tmp_path}/program.py {tmp_path}/file {redirection}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "file").read_text() == "True 0"
    assert done.stdout == ("" if ">&-" in redirection.replace("2>&-", "") else "a result\n")
