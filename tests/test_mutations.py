"""Mutated files, from fixed seeds: each is read as what it was, or refused in one line; no traceback, no hang, nothing wrong accepted in silence.

Artifacts, cards, checkpoints, recipes, latent files and records in pictures are mutated by the tests of their readers. A part runs each time, all
of them by `pytest -m slow`.
"""

from __future__ import annotations

import io
import json
import random
import shutil
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers import tiny_runs
from helpers.mutations import counts, mutated, mutated_tree
from PIL import Image, ImageCms

from mitlgan.artifacts.card import read_card
from mitlgan.artifacts.times import TIMES_FILE
from mitlgan.cli.runs import _length, _run_row
from mitlgan.compare import runner
from mitlgan.compare.plan import ComparisonPlan
from mitlgan.compare.runner import _begin
from mitlgan.compare.unfinished_comparisons import find_unfinished
from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes
from mitlgan.data.open import open_data
from mitlgan.data.pack import image_pack
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.errors import MitlganError
from mitlgan.report.run_report import write_run_report
from mitlgan.runtime.progress import PlainReporter
from mitlgan.studio.runs import RunBrowser, describe_run
from mitlgan.training.run_directory import Run, list_all

MAX_SECONDS = 2.0


def mutations(valid: bytes, count: int, check: Callable[[bytes], bool], *, as_json: bool = False) -> int:
    """Check `count` mutations of a file; every second one of JSON changes its tree.

    Returns:
        How many were accepted.
    """
    tree = json.loads(valid) if as_json else None
    accepted = 0
    for seed in range(count):
        draw = random.Random(seed)
        damaged = json.dumps(mutated_tree(tree, draw)).encode() if as_json and seed % 2 else mutated(valid, draw)
        before = time.process_time()
        refusal = "", 2
        try:
            accepted += check(damaged)
        except MitlganError as error:
            refusal = str(error), error.exit_code  # kept itself, it would hold on to all that its traceback names
        except BaseException as error:
            error.add_note(f"seed {seed}: {damaged[:2000]!r}")
            raise
        assert refusal[0].isprintable(), seed
        assert refusal[1] in (2, 3, 4, 5), seed
        assert time.process_time() - before < MAX_SECONDS, seed
    return accepted


@pytest.fixture
def pack(tmp_path: Path) -> ImagePack:
    return ImagePack.open(tiny_runs.pack(tmp_path / "pack" / "p.npy", fourth="matte"))


@counts
def test_pixels_of_a_pack(pack: ImagePack, count: int) -> None:
    whole, pixels = pack.path.read_bytes(), np.array(pack.pixels)

    def check(damaged: bytes) -> bool:
        pack.path.write_bytes(damaged)
        assert (ImagePack.open(pack.path).pixels == pixels).all()
        return True

    assert mutations(whole, count, check) < 0.1 * count


@counts
def test_a_manifest(pack: ImagePack, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack.path.with_suffix(".json")
    monkeypatch.setattr(image_pack, "verify_pixels", lambda *_: None)  # what a valid hash alone lets through is read, too

    def check(damaged: bytes) -> bool:
        path.write_bytes(damaged)
        opened = ImagePack.open(pack.path)
        assert opened.pixels.shape == pack.pixels.shape
        list(opened.sources())
        opened.sources_at({0, 11})
        open_data(str(pack.path), "scene", tiny_runs.SIZE_PX, say=lambda text: None)
        return True

    mutations(path.read_bytes(), count, check, as_json=True)
    lines = path.read_bytes()
    assert mutations(lines, count // 10, check) <= count // 10


@counts
def test_a_changed_manifest_never_gives_its_pixels_another_meaning(pack: ImagePack, count: int) -> None:
    path = pack.path.with_suffix(".json")
    whole = json.loads(path.read_text())
    meaning = ("count", "size_px", "channels", "fourth_channel", "content_sha256")

    def check(damaged: bytes) -> bool:
        path.write_bytes(damaged)
        assert [ImagePack.open(pack.path).manifest[key] for key in meaning] == [whole[key] for key in meaning]
        return True

    mutations(path.read_bytes(), count, check, as_json=True)


@counts
def test_a_status(pretrained: dict[str, Run], tmp_path: Path, count: int) -> None:
    run = Run(shutil.copytree(pretrained["bg"].path, tmp_path / "runs" / "pretrain" / "bg-001"))
    path = run.path / "status.json"
    reporter, seen = PlainReporter("bg", 0.0), list[bytes]()

    def check(damaged: bytes) -> bool:
        path.write_bytes(damaged)
        status = run.read_status()
        json.dumps(status, allow_nan=False)
        reporter.update(status)
        seen.append(damaged)
        if len(seen) % 20 == 0:  # the slower readers
            (row,) = [_run_row(listed) for listed in list_all(tmp_path / "runs")]
            assert isinstance(_length(row), str)
            for run_id, listed in RunBrowser(tmp_path / "runs").by_id().items():
                describe_run(run_id, listed).model_dump_json()
        return True

    mutations(path.read_bytes(), count, check, as_json=True)


@pytest.fixture
def reported(pretrained: dict[str, Run], tmp_path: Path) -> Run:
    """A finished run with all files that a report reads."""
    run = Run(shutil.copytree(pretrained["bg"].path, tmp_path / "reported"))
    split = {"split": "validation", "real": 12}
    rows = [{"iteration": i, "kimg": i * 0.008, "seconds": 1.0 * i, "fd": 9.0 - i, "kid": 1.0 - 0.1 * i, "diversity": 0.9, **split} for i in (1, 2, 3)]
    (run.path / "evaluations.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    frechet = {"value": 5.0, "name": "FD (efficientnet-lite0@32)", "generated": 12, "data_sha256": "0" * 64, **split}
    (run.path / "metrics.json").write_text(
        json.dumps({"frechet": frechet, "kid": {"value": 0.5, "std": 0.1, **split}, "protocol": {"extractor": "efficientnet-lite0@32", "samples": 12}})
    )
    return run


@pytest.mark.parametrize("name", ["status.json", "stats.jsonl", "timing.jsonl", "evaluations.jsonl", "metrics.json", TIMES_FILE, "card.json"])
@pytest.mark.parametrize("count", [1, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(3000)])])
def test_a_report_of_mutated_files(name: str, count: int, reported: Run, tmp_path: Path) -> None:
    run = Run(shutil.copytree(reported.path, tmp_path / "run"))
    path = run.path / name
    valid = path.read_bytes()

    def check(damaged: bytes) -> bool:
        path.write_bytes(damaged)
        write_run_report(run.path)
        return True

    mutations(valid, count, check, as_json=name.endswith(".json"))
    if name.endswith(".jsonl"):  # lines that are JSON, with values of other kinds
        rows = [json.loads(line) for line in valid.splitlines()]
        for seed in range(count):
            check("".join(f"{json.dumps(mutated_tree(row, random.Random(seed)))}\n" for row in rows).encode())


@counts
def test_times(pretrained: dict[str, Run], tmp_path: Path, count: int) -> None:
    run = Run(shutil.copytree(pretrained["bg"].path, tmp_path / "run"))
    assert run.artifact_file is not None
    artifact, whole = run.artifact_file, read_card(run.artifact_file).model_dump(exclude={"seconds", "cpu_seconds"})

    def check(damaged: bytes) -> bool:
        (run.path / TIMES_FILE).write_bytes(damaged)
        card = read_card(artifact)
        assert card.model_dump(exclude={"seconds", "cpu_seconds"}) == whole
        assert 0 <= card.seconds < float("inf")
        return True

    mutations((run.path / TIMES_FILE).read_bytes(), count, check, as_json=True)


@counts
def test_a_plan_of_a_comparison_is_continued_only_if_it_is_the_same(tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = ComparisonPlan(budgets=(1.0, 2.0), seeds=2, layers={"fg": Path("fg")}, trials={"wgan": 2})
    setup: Any = SimpleNamespace(recipe=SimpleNamespace(name="tiny"))
    context = tiny_runs.run_context(tmp_path)
    path = _begin(plan, setup, context).path / "plan.json"
    whole, other = path.read_bytes(), Run(tmp_path / "other")
    monkeypatch.setattr(runner.run_directory, "create_run", lambda *_: other)

    def check(damaged: bytes) -> bool:
        path.write_bytes(damaged)
        opened = find_unfinished(plan, plan, context) or _begin(plan, setup, context)
        if opened is other:
            return False
        assert opened.path == path.parent
        assert json.loads(damaged) == json.loads(whole)
        return True

    assert mutations(whole, count, check, as_json=True) < 0.3 * count


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


METADATA: dict[bytes, bytes] = {
    b"cICP": bytes([9, 16, 0, 1]),
    b"cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000),
    b"gAMA": struct.pack(">I", 45455),
    b"iCCP": b"p\0\0" + zlib.compress(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
    b"tEXt": b"mitlgan\0" + json.dumps({"seed": 1, "artifact": "0" * 64}).encode(),
    b"zTXt": b"note\0\0" + zlib.compress(b"x" * 400),
    b"iTXt": b"title\0\0\0de\0Titel\0" + "Übung".encode(),
    b"tRNS": struct.pack(">3H", 1, 2, 3),
    b"eXIf": b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0",
}


@counts
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Tag data larger than file")
def test_metadata_of_a_png(count: int) -> None:
    """The check sums fit, so that the damaged values reach their readers."""
    buffer = io.BytesIO()
    Image.fromarray(np.arange(300, dtype=np.uint16).astype(np.uint8).reshape(10, 10, 3)).save(buffer, "PNG")
    start = buffer.getvalue()[:33]
    rest = buffer.getvalue()[33:]
    kinds, reasons = list(METADATA), list[str]()
    for seed in range(count):
        draw = random.Random(seed)
        kind = draw.choice(kinds)
        chunks = {name: METADATA[name] for name in draw.sample(kinds, draw.randrange(3))}
        content = start + b"".join(png_chunk(*item) for item in {**chunks, kind: mutated(METADATA[kind], draw)}.items()) + rest
        before = time.process_time()
        try:
            assert sorted(decode_bytes(content, keep_alpha=bool(seed % 2), size_px=8).picture.size) == [10, 10], seed
        except UnreadableImageError as error:
            reasons.append(str(error))
        assert time.process_time() - before < MAX_SECONDS, seed
    assert all(reason.isprintable() for reason in reasons)
    assert len(reasons) < 0.5 * count, "most pictures can be shown without their metadata"
