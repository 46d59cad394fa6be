"""A thousand mixed requests of twenty clients at once, on a process of its own."""

from __future__ import annotations

import io
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psutil
import pytest
from PIL import Image

CLIENTS, REQUESTS = 20, 1000
GROWTH_BYTES = 8_000_000
"""Allowed in the second half, after the allocator gave back what it keeps; a leak of one picture a request would be more."""
TRIMMED = """
import ctypes, gc, signal
signal.signal(signal.SIGUSR1, lambda *_: (gc.collect(), ctypes.CDLL(None).malloc_trim(0)))
from mitlgan.cli.main import main
main()
"""
"""`mitlgan`, which gives free memory back to the system at a signal."""


@pytest.fixture
def process(tmp_path: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The address of `mitlgan studio` on the shipped artifacts, and its process."""
    command = [sys.executable, "-c", TRIMMED, "studio", "--port", "0", "--runs", str(tmp_path), "--device", "cpu", "--threads", "1"]
    started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        assert started.stderr is not None
        found = re.search(r"http://[0-9.:]+", started.stderr.readline())
        assert found is not None
        yield found.group(), psutil.Process(started.pid)
        assert started.poll() is None  # it lives on
    finally:
        started.terminate()
        started.wait(10)


def _png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 30, 90)).save(buffer, "PNG")
    return buffer.getvalue()


def _asks(address: str, artifacts: list[Any]) -> list[Callable[[httpx.Client, random.Random], httpx.Response | None]]:
    """What clients do, good and bad."""
    port = int(address.rsplit(":", 1)[1])
    png = _png()

    def state(rng: random.Random) -> dict[str, Any]:
        one = rng.choice(artifacts)
        return {"artifact": one["id"], "latents": {name: {"seed": rng.randrange(1000)} for name in one["latents"] if name != "place"}}

    def gone(client: httpx.Client, rng: random.Random) -> None:
        body = json.dumps({"state": state(rng), "vary": {rng.choice(["fg", "bg"]): list(range(16))}}).encode()
        head = f"POST /api/grid HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(head.encode() + body)

    def embedded(client: httpx.Client, rng: random.Random) -> httpx.Response:
        query = {"artifact": state(rng)["artifact"], "seconds": 1}
        begun = client.post("/api/embed", params=query, content=png, headers={"Content-Type": "image/png"})
        if begun.status_code == 202:
            return client.delete(f"/api/jobs/{begun.json()['job']}")
        return begun

    def morph(client: httpx.Client, rng: random.Random) -> httpx.Response:
        first = state(rng)
        return client.post("/api/morph", json={"from": first, "to": {**first, "truncation": 0.5}, "frames": 4})

    return [
        lambda client, rng: client.post("/api/picture", json={"state": state(rng), "want": ["output", "layers", "fused"]}),
        lambda client, rng: client.post("/api/picture", json={"state": state(rng)}),
        lambda client, rng: client.get("/api/picture.png", params={"s": json.dumps(state(rng))}),
        lambda client, rng: client.get("/api/layers.zip", params={"s": json.dumps(state(rng))}),
        lambda client, rng: client.post("/api/quiz", json={"artifact": artifacts[-1]["id"]}),
        lambda client, rng: client.get("/api/artifacts"),
        lambda client, rng: client.get("/api/runs"),
        lambda client, rng: client.get("/"),
        lambda client, rng: client.post("/api/picture", json={"state": {"artifact": "x", "truncation": -1}}),
        lambda client, rng: client.get("/api/artifacts", headers={"Host": "evil.example"}),
        lambda client, rng: client.post("/api/picture", content=b"x" * 2_000_000),
        morph,
        embedded,
        gone,
    ]


@pytest.mark.slow
def test_a_thousand_mixed_requests_of_twenty_clients(process: tuple[str, psutil.Process]) -> None:
    address, running = process
    asks = _asks(address, httpx.get(f"{address}/api/artifacts").json())
    refused = {8: 422, 9: 400, 10: 413}
    seen: Counter[int] = Counter()

    def client(number: int, count: int, first: int) -> None:
        rng = random.Random(f"{number} {first}")
        with httpx.Client(base_url=address, timeout=120) as connection:
            for index in range(count):
                which = (number + first + index) % len(asks)
                answered = asks[which](connection, rng)
                if answered is None:
                    continue
                seen[answered.status_code] += 1
                if answered.status_code == 503:
                    assert answered.headers["Retry-After"] == "1"
                else:
                    assert answered.status_code == refused.get(which, 204 if which == 12 else 200), (which, answered.text[:200])

    def half(first: int) -> int:
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(lambda number: client(number, REQUESTS // 2 // CLIENTS, first), range(CLIENTS)))
        time.sleep(1)
        running.send_signal(signal.SIGUSR1)
        time.sleep(2)
        return int(running.memory_info().rss)

    for number in range(4):  # all that is loaded once is loaded, and what is kept of quizzes and jobs has its full number
        half(1000 * number)
    before = half(4000)
    after = half(5000)
    print(f"statuses {dict(seen)}; resident {before / 1e6:.1f} MB, then {after / 1e6:.1f} MB")
    assert after - before < GROWTH_BYTES
    assert httpx.get(f"{address}/api/artifacts").status_code == 200
