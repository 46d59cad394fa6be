"""Embed: long work that is watched, cancelled, and gives way to pictures."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from helpers.studio_requests import asked, read
from PIL import Image

from mitlgan.errors import UsageError
from mitlgan.inpainting import Filler, Original
from mitlgan.studio import StudioSettings, create_app, inpainting_jobs, inversion_jobs, uploads
from mitlgan.studio.errors import RequestRefused
from mitlgan.studio.inpainting_jobs import InpaintingTask
from mitlgan.studio.jobs import MAX_JOBS, JobEvent, JobRegistry, StudioJob
from mitlgan.studio.worker import Worker

ADDRESS = "http://127.0.0.1:8765"


def followed(client: TestClient, job: str) -> list[JobEvent]:
    """The events of a job, as the page's EventSource reads them."""
    with client.stream("GET", f"/api/jobs/{job}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in stream.iter_lines() if line and not line.startswith(":")]
    kinds = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    values = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    return [JobEvent(kind, data) for kind, data in zip(kinds, values, strict=True)]  # type: ignore[arg-type]


def begun(client: TestClient, artifact: str, picture: bytes, seconds: float = 20) -> str:
    done = client.post("/api/embed", params={"artifact": artifact, "seconds": seconds}, content=picture, headers={"Content-Type": "image/png"})
    assert done.status_code == 202, done.text
    return str(done.json()["job"])


@pytest.mark.parametrize("name", ["fg", "matted"])
def test_an_embedded_picture_comes_back_as_a_state(client: TestClient, ids: dict[str, str], shown: Any, name: str) -> None:
    state = {"artifact": ids[name], "latents": {"fg": {"seed": 8}}}
    picture = client.get("/api/picture.png", params=asked(state)).content
    events = followed(client, begun(client, ids[name], picture, 0.8))
    assert {event.kind for event in events[:-1]} <= {"progress"}
    kind, found = events[-1]
    assert kind == "done"
    assert found["psnr"] > 10
    assert set(found["state"]["latents"]) == set(next(one for one in client.get("/api/artifacts").json() if one["id"] == ids[name])["latents"])
    again = shown(found["state"])
    assert again["output"] == found["picture"]
    assert abs(read(again["output"]).astype(float) - read(picture)).mean() < 255 * 10 ** (-found["psnr"] / 20) + 1
    steps = [event.data["step"] for event in events[:-1]]
    assert steps == sorted(steps)
    for event in events[:-1]:
        assert event.data["step"] <= event.data["of"]
        assert event.data["phase"] == "starts" or read(event.data["preview"]).shape == (8, 8, 3)


def uri(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode()


def mask(size_px: int = 8, left: int = 2) -> bytes:
    """White in the middle, on nothing."""
    buffer = io.BytesIO()
    hole = Image.new("RGBA", (size_px, size_px), (255, 255, 255, 0))
    hole.paste((255, 255, 255, 255), (left, 2, 6, 6))
    hole.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["bg", "matted"])
def test_a_hole_is_filled_and_the_rest_stays(client: TestClient, ids: dict[str, str], name: str) -> None:
    picture = client.get("/api/picture.png", params=asked({"artifact": ids[name], "latents": {"bg": {"seed": 8}}})).content
    pixels = read(picture).copy()
    pixels[2:6, 2:6] = (255, 0, 255)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    body = {"artifact": ids[name], "image": uri(buffer.getvalue()), "hole": uri(mask()), "seconds": 0.8}
    done = client.post("/api/inpaint", json=body)
    assert done.status_code == 202
    events = followed(client, done.json()["job"])
    assert events[-1].kind == "done"
    inside = np.zeros((8, 8), dtype=bool)
    inside[2:6, 2:6] = True
    for picture_seen in (event.data.get("picture") or event.data["preview"] for event in events):
        if picture_seen is None:  # while starts are looked through
            continue
        filled = read(picture_seen)
        assert np.array_equal(filled[~inside], pixels[~inside])
    before, after = (np.abs(found[inside].astype(float) - read(picture)[inside]).mean() for found in (pixels, read(events[-1].data["picture"])))
    assert after < 0.5 * before  # what was painted over did not count


def test_a_trained_filler_fills_and_the_rest_stays() -> None:
    hole = np.zeros((8, 8), dtype=bool)
    hole[2:6, 2:6] = True
    task = InpaintingTask(Original(Image.new("RGBA", (8, 8), (128, 128, 128, 255)), "RGB", None, ""), hole)
    filled = np.asarray(inpainting_jobs.fill(task, Filler("ones", 8, lambda pictures, holes: torch.ones_like(pictures))))
    assert set(filled.ravel()) == {128}  # blended: the drawing has no gradient, so the rim's colour goes on


@pytest.mark.parametrize(("size", "share"), [((60, 40), 4), ((1500, 1100), 16)])
@pytest.mark.parametrize("method", ["embed", "context"])
def test_a_filled_picture_comes_back_at_its_full_size(
    client: TestClient, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], share: int, method: str
) -> None:
    """Its hole was painted on a smaller copy; every pixel outside of it is the picture's own."""
    monkeypatch.setattr(inpainting_jobs, "load_context_encoder", lambda: Filler("ones", 8, lambda pictures, holes: torch.ones_like(pictures)))
    pixels = np.random.default_rng(4).integers(0, 200, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    small = Image.new("L", (size[0] // 2, size[1] // 2))
    small.paste(255, (5, 5, size[0] // share, size[1] // share))
    painted = io.BytesIO()
    small.save(painted, "PNG")
    body = {"artifact": ids["bg"], "image": uri(buffer.getvalue()), "hole": uri(painted.getvalue()), "seconds": 0.5, "method": method}
    job = client.post("/api/inpaint", json=body).json()["job"]
    end = followed(client, job)[-1]
    assert end.kind == "done", end
    whole = read(client.get(f"/api/jobs/{job}/picture.png").content)
    assert (end.data["width"], end.data["height"]) == size == whole.shape[1::-1]
    hole = np.zeros(size[::-1], dtype=bool)
    hole[10 : size[1] // share * 2, 10 : size[0] // share * 2] = True
    assert np.array_equal(whole[~hole], pixels[~hole])
    assert (whole[hole] != pixels[hole]).any(axis=-1).mean() > 0.9
    shown = read(end.data["picture"])
    assert max(shown.shape) == min(max(size), 1024)
    assert client.get(f"/api/jobs/{job}/picture.png").headers["content-type"] == "image/png"


def sixteen_bits() -> Image.Image:
    return Image.fromarray(np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8))


@pytest.mark.parametrize(
    ("make", "form", "note"),
    [
        (sixteen_bits, "PNG", "16 bits per channel: written with 8"),
        (lambda: Image.new("CMYK", (8, 8), (10, 200, 0, 30)), "JPEG", "CMYK by its profile or gamma: written as RGB in sRGB"),
        (lambda: Image.new("RGB", (8, 8), "red"), "GIF", "several frames: the first was taken; P: written as RGB, which can hold every color"),
        (lambda: Image.new("RGB", (8, 8), "red"), "PNG", ""),
    ],
)
def test_what_a_filled_picture_cannot_keep_of_its_file_is_said(
    client: TestClient, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch, make: Callable[[], Image.Image], form: str, note: str
) -> None:
    """As the command says it."""
    monkeypatch.setattr(inpainting_jobs, "load_context_encoder", lambda: Filler("ones", 8, lambda pictures, holes: torch.ones_like(pictures)))
    buffer = io.BytesIO()
    moving = {"save_all": True, "append_images": [Image.new("RGB", (8, 8), "blue")]} if form == "GIF" else {}
    make().save(buffer, form, **moving)
    body = {"artifact": ids["bg"], "image": uri(buffer.getvalue()), "hole": uri(mask()), "method": "context"}
    end = followed(client, client.post("/api/inpaint", json=body).json()["job"])[-1]
    assert (end.kind, end.data["note"]) == ("done", note)


def test_a_job_without_a_picture_has_none_and_few_are_kept() -> None:
    worker = Worker(waiting=32, work_s=5)
    jobs = JobRegistry(worker, orphan_s=60)
    worker.start()
    made = []
    for _ in range(8):
        made.append(jobs.start(lambda job: setattr(job, "file", b"x") or {}))
        while not made[-1].is_finished:
            time.sleep(0.001)
    assert [job.file is not None for job in made] == [False] * 3 + [True] * 5
    worker.close()


@pytest.mark.parametrize(("name", "method"), [("bg", "embed"), ("matted", "embed"), ("fg", "embed"), ("bg", "context")])
def test_a_transparent_picture_stays_so_outside_of_the_hole(
    client: TestClient, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch, name: str, method: str
) -> None:
    """Colours under full transparency too, in every picture on the way."""
    monkeypatch.setattr(inpainting_jobs, "load_context_encoder", lambda: Filler("ones", 8, lambda pictures, holes: torch.ones_like(pictures)))
    pixels = np.random.default_rng(3).integers(0, 256, (8, 8, 4), dtype=np.uint8)
    pixels[:2, :, 3] = 0
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    body = {"artifact": ids[name], "image": uri(buffer.getvalue()), "hole": uri(mask()), "seconds": 0.8, "method": method}
    events = followed(client, client.post("/api/inpaint", json=body).json()["job"])
    assert events[-1].kind == "done"
    outside = np.ones((8, 8), dtype=bool)
    outside[2:6, 2:6] = False
    for shown in (event.data.get("picture") or event.data["preview"] for event in events):
        if shown is not None:
            assert np.array_equal(read(shown)[outside], pixels[outside])


@pytest.mark.parametrize(
    ("change", "status", "line"),
    [
        ({"hole": uri(mask(9))}, 422, "hole: is 9 x 9 px"),
        ({"hole": uri(mask(left=6))}, 422, "hole: marks nothing"),
        ({"hole": "data:text/html;base64,AAAA"}, 422, "hole: is not the data URI of a picture"),
        ({"image": "/etc/passwd"}, 422, "image: is not the data URI of a picture"),
        ({"image": "data:image/png;base64,####"}, 422, "image: its base64 is damaged"),
        ({"image": "data:image/png;base64,AAAA"}, 415, "image: is not a picture"),
        ({"seconds": 1e9}, 422, "seconds:"),
        ({"method": "magic"}, 422, "method:"),
        ({"artifact": "none"}, 404, "artifact:"),
    ],
)
def test_wrong_holes_are_refused(client: TestClient, ids: dict[str, str], change: dict[str, Any], status: int, line: str) -> None:
    done = client.post("/api/inpaint", json={"artifact": ids["bg"], "image": uri(png()), "hole": uri(mask()), **change})
    assert (done.status_code, done.json()["error"][: len(line)]) == (status, line)


def test_a_picture_of_another_size_is_cut_and_reduced(client: TestClient, ids: dict[str, str]) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (60, 40), (10, 200, 30)).save(buffer, "JPEG")
    job = begun(client, ids["bg"], buffer.getvalue(), 0.5)
    assert followed(client, job)[-1].kind == "done"


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Embeddings go on until they are not wanted; says when one has begun."""
    running = threading.Event()

    def work(_loaded: Any, _target: Any, _seconds: float, job: StudioJob, worker: Worker) -> dict[str, Any]:
        while job.is_wanted:
            running.set()
            worker.run_pending()
            time.sleep(0.01)
            if job.is_event_due:
                job.emit("progress", {"step": 1, "of": 2})
        raise inversion_jobs.Cancelled

    monkeypatch.setattr(inversion_jobs, "run_embedding", work)
    yield running
    running.set()


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "PNG")
    return buffer.getvalue()


def test_a_job_gives_way_to_pictures_and_ends_when_cancelled(client: TestClient, ids: dict[str, str], endless: threading.Event) -> None:
    job, waiting = begun(client, ids["fg"], png()), begun(client, ids["fg"], png())
    assert endless.wait(5)
    assert client.post("/api/picture", json={"state": {"artifact": ids["matted"]}}).status_code == 200  # while the job runs
    assert client.delete(f"/api/jobs/{waiting}").status_code == 204
    assert followed(client, waiting)[-1].kind == "cancelled"  # before its turn has come
    assert client.delete(f"/api/jobs/{job}").status_code == 204
    assert followed(client, job)[-1].kind == "cancelled"
    assert client.delete("/api/jobs/none").status_code == 404


def test_a_job_to_which_nobody_listens_ends(settings: StudioSettings, endless: threading.Event) -> None:
    app = create_app(dataclasses.replace(settings, orphan_timeout_s=0.3))
    with TestClient(app, base_url=ADDRESS) as client:
        artifact = client.get("/api/artifacts").json()[-1]["id"]
        job = begun(client, artifact, png())
        found = app.state.context.jobs.get(job)
        began = time.monotonic()
        while not found.is_finished and time.monotonic() - began < 5:
            time.sleep(0.02)
        assert found.is_finished
        assert time.monotonic() - began > 0.1


def test_too_many_jobs_are_told_to_come_again(client: TestClient, ids: dict[str, str], endless: threading.Event) -> None:
    jobs = [begun(client, ids["fg"], png())]
    assert endless.wait(5)
    jobs += [begun(client, ids["fg"], png()) for _ in range(4)]  # a quarter of those that may wait
    full = client.post("/api/embed", params={"artifact": ids["fg"]}, content=png(), headers={"Content-Type": "image/png"})
    assert (full.status_code, full.headers["Retry-After"]) == (503, "1")
    for job in reversed(jobs):
        client.delete(f"/api/jobs/{job}")
        assert followed(client, job)[-1].kind == "cancelled"


def test_how_a_job_ends_is_always_told() -> None:
    worker = Worker(waiting=32, work_s=5)
    jobs = JobRegistry(worker, orphan_s=60)

    def failing(error: Exception) -> Callable[[StudioJob], dict[str, Any]]:
        def work(_job: StudioJob) -> dict[str, Any]:
            raise error

        return work

    failed = [jobs.start(failing(UsageError("hole: is everywhere")))]
    worker.start()
    failed += [jobs.start(failing(RequestRefused(422, "picture: damaged"))), jobs.start(failing(ZeroDivisionError("secret")))]
    done = jobs.start(lambda _: {"x": 1})
    while not done.is_finished:
        time.sleep(0.01)
    told = [job._event for job in failed]
    assert told[:2] == [JobEvent("failed", {"message": "hole: is everywhere"}), JobEvent("failed", {"message": "picture: damaged"})]
    assert told[2] is not None
    assert "ZeroDivisionError" in told[2].data["message"]
    assert "secret" not in told[2].data["message"]
    for _ in range(3 * MAX_JOBS):
        last = jobs.start(lambda _: {})
        while not last.is_finished:
            time.sleep(0.001)
    with pytest.raises(RequestRefused):
        jobs.get(done.id)  # forgotten, so that memory does not grow
    worker.close()
    with pytest.raises(RequestRefused):
        jobs.start(lambda _: {})


def test_a_hole_of_another_size_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is a few bytes may be a gigabyte of pixels."""
    buffer = io.BytesIO()
    Image.new("L", (7000, 7000), 255).save(buffer, "PNG")
    monkeypatch.setattr(uploads, "decode_bytes", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(RequestRefused, match="hole: is 7000 x 7000 px") as refused:
        uploads.decode_hole(buffer.getvalue(), (8, 8), "hole")
    assert refused.value.status == 422


def test_a_hole_in_colours_is_refused() -> None:
    buffer = io.BytesIO()
    Image.merge("RGB", [Image.linear_gradient("L").rotate(turn).resize((8, 8)) for turn in (0, 90, 180)]).save(buffer, "PNG")
    with pytest.raises(RequestRefused, match="hole: is in colours"):
        uploads.decode_hole(buffer.getvalue(), (8, 8), "hole")
