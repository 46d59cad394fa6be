"""Artifacts from the Hub: fetched from a local server that speaks its protocol, pinned, offline, and refused in one line."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import torch

import mitlgan
from mitlgan.artifacts.export import _card_json
from mitlgan.artifacts.hub import fetch_hub_artifact, is_hub_reference, parse_hub_reference
from mitlgan.artifacts.hub_folder import hub_readme, write_hub_folder
from mitlgan.artifacts.loaded_artifact import artifact_path
from mitlgan.errors import ArtifactError, UsageError
from mitlgan.recipe import shipped_folder

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class HubHandler(BaseHTTPRequestHandler):
    """The part of the Hub that serves files: `/OWNER/NAME/resolve/REVISION/FILE`, with its headers and its error codes."""

    root: ClassVar[Path]
    requests: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        self._answer(has_body=False)

    def do_GET(self) -> None:
        self._answer(has_body=True)

    def _answer(self, has_body: bool) -> None:
        self.requests.append(f"{self.command} {self.path}")
        parts = self.path.strip("/").split("/")
        if len(parts) != 5 or parts[2] != "resolve" or not (self.root / parts[0] / parts[1]).is_dir():
            return self._refuse("RepoNotFound")
        if parts[3] not in ("main", "v1", COMMIT):
            return self._refuse("RevisionNotFound")
        path = self.root / parts[0] / parts[1] / parts[4]
        if not path.is_file():
            return self._refuse("EntryNotFound")
        content = path.read_bytes()
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if has_body:
            self.wfile.write(content)
        return None

    def _refuse(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder of the repositories that a Hub of this machine serves: `HUB/owner/name`."""
    root = tmp_path / "hub"
    (root / "me").mkdir(parents=True)
    handler = type("Handler", (HubHandler,), {"root": root, "requests": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        HubHandler.requests = handler.requests  # type: ignore[attr-defined]
        yield root
        server.shutdown()


@pytest.fixture
def published(hub: Path, artifacts: dict[str, Path]) -> Path:
    """A composition on that Hub, and next to it what nobody asked for."""
    folder = write_hub_folder(mitlgan.load(artifacts["scene"]), hub / "me" / "scene")
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    return folder


def test_an_artifact_comes_from_the_hub(published: Path, artifacts: dict[str, Path]) -> None:
    expected = mitlgan.load(artifacts["scene"]).sample([1, 2])
    for reference in ("hf://me/scene", "hf://me/scene@main", "hf://me/scene@v1", f"hf://me/scene@{COMMIT}"):
        assert torch.equal(mitlgan.load(reference).sample([1, 2]), expected)
    assert torch.equal(mitlgan.load(Path("hf://me/scene")).sample([1, 2]), expected), "a Path has one slash"
    fetched = {request.rsplit("/", 1)[1] for request in HubHandler.requests if "/resolve/" in request}  # not what the client asks for itself
    assert fetched == {"card.json", "composer.safetensors"}, "nothing else"


def test_offline_the_cache_serves(published: Path, monkeypatch: pytest.MonkeyPatch, artifacts: dict[str, Path]) -> None:
    first = mitlgan.load("hf://me/scene").tensors_sha256
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    HubHandler.requests.clear()
    assert mitlgan.load("hf://me/scene").tensors_sha256 == first
    assert not HubHandler.requests
    with pytest.raises(ArtifactError, match=r"^hf://me/other: the Hub cannot be reached, and its card\.json is not in the cache; unset HF_HUB_OFFLINE"):
        mitlgan.load("hf://me/other")


def test_without_network_it_is_one_line(published: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr("time.sleep", lambda _: None)  # the client tries for half a minute
    with pytest.raises(ArtifactError, match=r"^hf://me/scene: "):
        mitlgan.load("hf://me/scene")
    assert not caplog.records


def test_a_hash_is_pinned_on_request(published: Path) -> None:
    weights = published / "composer.safetensors"
    file_hash = hashlib.sha256(weights.read_bytes()).hexdigest()
    tensors_hash = json.loads((published / "card.json").read_text())["tensors_sha256"]
    for sha256 in (file_hash, tensors_hash):
        assert mitlgan.load(f"hf://me/scene#sha256={sha256}").tensors_sha256 == tensors_hash
        assert artifact_path(f"hf://me/scene@v1#sha256={sha256}").name == "composer.safetensors"
    with pytest.raises(ArtifactError, match=r"^hf://me/scene: has not the SHA-256 0{64}"):
        mitlgan.load(f"hf://me/scene#sha256={'0' * 64}")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("hf://me/absent", "there is no such repository"),
        ("hf://me/scene@v9", "has no revision 'v9'"),
        ("hf://me/empty", "has no card.json, so it is no artifact"),
        ("hf://me/broken", "its card.json is not that of an artifact"),
        ("hf://me/elsewhere", "its card.json is not that of an artifact"),
        ("hf://me/cardonly", "has no generator.safetensors"),
        ("hf://me/pickle", "a pickle or archive, not safetensors"),
    ],
)
def test_what_is_no_artifact_is_refused_in_one_line(hub: Path, published: Path, reference: str, message: str) -> None:
    for name, card in (
        ("empty", None),
        ("broken", "{"),
        ("elsewhere", '{"kind": "../../../../etc/passwd"}'),
        ("cardonly", '{"kind": "generator"}'),
        ("pickle", '{"kind": "generator"}'),
    ):
        (hub / "me" / name).mkdir()
        if card is not None:
            (hub / "me" / name / "card.json").write_text(card)
    (hub / "me" / "pickle" / "generator.safetensors").write_bytes(b"\x80\x04" + b"x" * 200)
    with pytest.raises(ArtifactError) as refused:
        mitlgan.load(reference)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 4


def test_a_card_of_a_gigabyte_is_not_fetched(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (hub / "me" / "huge").mkdir()
    (hub / "me" / "huge" / "card.json").write_bytes(b" " * 2000)
    monkeypatch.setattr("mitlgan.artifacts.hub.MAX_CARD_BYTES", 1000)
    with pytest.raises(ArtifactError, match=r"^hf://me/huge: its card\.json has 2000 bytes, more than 1000; it was not fetched"):
        fetch_hub_artifact("hf://me/huge")
    assert not [request for request in HubHandler.requests if request.startswith("GET")]


@pytest.mark.parametrize(
    "reference",
    [
        "hf://me/..",
        "hf://../scene",
        "hf://me/../../etc",
        "hf://me/sc..ene",
        "hf://me",
        "hf://",
        "hf:///me/scene/more",
        "hf://me/scene/composer.safetensors",
        "hf://me/scene@../../main",
        "hf://me/scene@",
        "hf://me/scene@-x",
        "hf://me/sce--ne",
        "hf://me/scene#sha256=12",
        "hf://me/scene?x=1",
        "hf://user:secret@me/scene",
        "hf://me/sc ene",
        "hf://me/scene\n",
        "hf://mé/scene",
        f"hf://me/{'x' * 97}",
    ],
)
def test_names_that_are_none_never_reach_the_network(hub: Path, reference: str) -> None:
    assert is_hub_reference(reference)
    with pytest.raises(UsageError, match=r"^hf://.*write it as hf://OWNER/NAME"):
        mitlgan.load(reference)
    assert not HubHandler.requests


def test_references_are_parsed() -> None:
    assert parse_hub_reference("hf://me/my_scene-1.0@refs/pr/2") == ("me/my_scene-1.0", "refs/pr/2", None)
    assert str(parse_hub_reference(Path("hf://me/scene@v1"))) == "hf://me/scene@v1"
    assert not is_hub_reference("runs/pretrain/fg-001")


def test_a_hub_folder_holds_card_weights_and_a_readme_with_metadata(artifacts: dict[str, Path], tmp_path: Path) -> None:
    artifact = mitlgan.load(shipped_folder("pretrained") / "modern-32")
    folder = mitlgan.export(artifact, "hub-folder", tmp_path / "upload")
    assert {path.name for path in folder.iterdir()} - {"times.json"} == {"README.md", "card.json", "composer.safetensors", "samples.png"}
    assert mitlgan.load(folder).tensors_sha256 == artifact.tensors_sha256
    head, text = (folder / "README.md").read_text().removeprefix("---\n").split("\n---\n", 1)
    metadata = {line.split(": ", 1)[0]: json.loads(line.split(": ", 1)[1]) for line in head.splitlines()}
    assert metadata["license"] == "mit"
    assert metadata["library_name"] == "mitlgan"
    assert metadata["pipeline_tag"] == "unconditional-image-generation"
    assert {"gan", "composer", "32px"} <= set(metadata["tags"])
    assert '"hf://OWNER/NAME"' in text
    assert "![samples](samples.png)" in text
    with pytest.raises(UsageError, match=r"^out .*upload: exists already"):
        mitlgan.export(artifact, "hub-folder", tmp_path / "upload")
    shutil.rmtree(folder)


@pytest.mark.parametrize("folder", ["/home/ada/Secret project", "C:\\Users\\ada\\Secret project", "~ada/Secret project"])
def test_what_is_published_holds_no_folder_of_this_machine(artifacts: dict[str, Path], tmp_path: Path, folder: str) -> None:
    artifact = mitlgan.load(artifacts["scene"])
    separator = "\\" if "\\" in folder else "/"
    data = {"source": f"{folder}{separator}scene", "count": 7}
    layers = {name: layer.model_copy(update={"card": {**layer.card, "data": data}}) for name, layer in artifact.card.layers.items()}
    recipe = {**artifact.card.recipe, "data": {"source": data["source"]}}
    artifact.card = artifact.card.model_copy(update={"data": data, "recipe": recipe, "layers": layers, "notes": "and/or a/b"})
    mitlgan.export(artifact, "hub-folder", tmp_path / "upload")
    for path in (tmp_path / "upload").iterdir():
        assert b"Secret" not in path.read_bytes(), path.name
    card = mitlgan.load(tmp_path / "upload").card
    assert (card.data, card.recipe["data"]["source"], card.notes) == ({"source": "scene", "count": 7}, "scene", "and/or a/b")
    assert "trained on | source scene, count 7 |" in mitlgan.export(artifact, "card", tmp_path / "card.md").read_text()
    assert "Secret" not in _card_json(artifact)  # in ONNX and torch.export


def test_the_tag_of_a_recipe_is_its_name_alone(artifacts: dict[str, Path]) -> None:
    artifact = mitlgan.load(artifacts["fg"])
    artifact.card = artifact.card.model_copy(update={"recipe": {**artifact.card.recipe, "name": "few-64"}})
    assert '"few-64"]' in hub_readme(artifact).split("\n---\n")[0]


def test_an_artifact_without_a_licence_gets_one_when_it_is_exported(artifacts: dict[str, Path], tmp_path: Path) -> None:
    artifact = mitlgan.load(artifacts["scene"])
    assert artifact.card.licence == ""
    folder = mitlgan.export(artifact, "hub-folder", tmp_path / "upload", licence="CC-BY-4.0")
    assert '\nlicense: "cc-by-4.0"\n' in (folder / "README.md").read_text()
    licensed = mitlgan.load(folder)
    assert (licensed.card.licence, licensed.tensors_sha256) == ("CC-BY-4.0", artifact.tensors_sha256)
    assert "| licence of the weights | CC-BY-4.0 |" in mitlgan.export(artifact, "card", tmp_path / "card.md", licence="CC-BY-4.0").read_text()
    with pytest.raises(UsageError, match=r"^licence MIT: the artifact has a licence already, CC-BY-4.0"):
        mitlgan.export(licensed, "hub-folder", tmp_path / "other", licence="MIT")
    for licence, told in (("", "is empty"), ("x" * 201, "201 characters")):
        with pytest.raises(UsageError, match=rf"^licence: {told}"):
            mitlgan.export(artifact, "hub-folder", tmp_path / "other", licence=licence)
    with pytest.raises(UsageError, match=r"^licence: goes with .*hub-folder or card; leave it out$"):
        mitlgan.export(artifact, "ora", tmp_path / "a.ora", licence="MIT")
    assert not (tmp_path / "other").exists()


def test_text_of_a_card_cannot_break_out_of_the_metadata(artifacts: dict[str, Path]) -> None:
    artifact = mitlgan.load(artifacts["fg"])
    artifact.card = artifact.card.model_copy(update={"licence": 'x"\n---\n# Hello: [é'})
    head = hub_readme(artifact).split("\n---\n")[0]
    assert "license_name: " + json.dumps('x"\n---\n# Hello: [é') in head.splitlines()
