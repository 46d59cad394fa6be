"""Files that are damaged, hostile or do not fit are refused in one line, and loading gives what was saved."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import random
import re
import shutil
import signal
import struct
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from helpers.mutations import counts, mutated, mutated_tree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import mitlgan
from mitlgan import networks
from mitlgan.artifacts.card import Card, read_card, read_weights_hash
from mitlgan.artifacts.load_save import load_layer, load_network, network_tensors, record_metrics, save_network
from mitlgan.artifacts.safetensors_io import HEADER_LIMIT_BYTES, TENSOR_LIMIT, read_header, read_tensors, tensors_sha256, write_tensors
from mitlgan.artifacts.times import split_times
from mitlgan.errors import ArtifactError
from mitlgan.recipe import Recipe, as_dict

GOOD_HEADER = {"__metadata__": {"mitlgan": json.dumps({"schema_version": 1})}}


def refusal(path: Path, read: Callable[[Path], object] = load_network) -> str:
    """The one line with which a file is refused, within a second of this process' time."""
    before = time.process_time()
    with pytest.raises(ArtifactError) as caught:
        read(path)
    assert time.process_time() - before < 1
    message = str(caught.value)
    assert caught.value.exit_code == 4
    assert str(path) in message
    assert message.isprintable()
    return message


def laid_out(header: Any, body: bytes = b"") -> bytes:
    """A safetensors file by hand."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    return struct.pack("<Q", len(raw)) + raw + body


def resigned(path: Path, change: Callable[[dict[str, Any]], Any], target: Path) -> Path:
    """An artifact with another card, hashes and all: what no damage makes, only another program."""
    tensors, header = read_tensors(path)
    changed = change(header)
    write_tensors(target, tensors, header if changed is None else changed)
    return target


def with_tensors(path: Path, change: Callable[[dict[str, Tensor]], None], target: Path) -> Path:
    """An artifact with other tensors, hashes and all."""
    tensors, header = read_tensors(path)
    change(tensors)
    write_tensors(target, tensors, header)
    return target


def same(first: tuple[nn.Module, Card], second: tuple[nn.Module, Card]) -> bool:
    return first[1] == second[1] and tensors_sha256(network_tensors(first[0])) == tensors_sha256(network_tensors(second[0]))


# What is saved is what is loaded


@pytest.mark.parametrize("role", ["fg", "scene"])
def test_a_saved_network_comes_back_bit_for_bit(artifacts: dict[str, Path], role: str, tmp_path: Path) -> None:
    network, card = load_network(artifacts[role])
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    again = tmp_path / artifacts[role].name
    save_network(again, network, card)
    assert same(load_network(again), (network, card))
    z = torch.randn(5, int(network.latent_dim))  # type: ignore[arg-type]
    assert torch.equal(load_network(again)[0](z), network(z))


def test_the_same_network_gives_the_same_bytes(artifacts: dict[str, Path], tmp_path: Path) -> None:
    network, card = load_network(artifacts["scene"])
    for name in ("a", "b"):
        save_network(tmp_path / name, network, card)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_layers_keep_their_order(artifacts: dict[str, Path]) -> None:
    network, card = load_network(artifacts["scene"])
    assert list(card.layers) == ["fg", "bg"]
    assert list(card.latent_dims.items()) == [("fg", 3), ("bg", 2)]
    assert isinstance(network, networks.Composer)
    assert list(network.latent_dims.items()) == [("fg", 3), ("bg", 2)]


def test_the_card_beside_says_the_same_and_the_hash(artifacts: dict[str, Path]) -> None:
    network, card = load_network(artifacts["fg"])
    beside = json.loads((artifacts["fg"].parent / "card.json").read_text())
    assert beside.pop("tensors_sha256") == tensors_sha256(network_tensors(network))
    header, _ = split_times(as_dict(card))
    assert beside == json.loads(json.dumps(header))
    assert (beside["licence"], beside["kimg"], beside["recipe"]["name"]) == ("CC0", 1.5, "tiny-fg")
    assert beside["made_by"].startswith("mitlgan ")


def test_metrics_are_recorded_without_touching_a_tensor(artifacts: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "generator.safetensors"
    shutil.copy(artifacts["fg"], path)
    before, _ = read_tensors(path)
    record_metrics(path, {"fd": 12.5}, read_weights_hash(path))
    after, header = read_tensors(path)
    assert tensors_sha256(before) == tensors_sha256(after)
    assert header["metrics"] == {"fd": 12.5}
    assert json.loads((tmp_path / "card.json").read_text())["metrics"] == {"fd": 12.5}


def test_weights_that_are_not_finite_are_not_written(artifacts: dict[str, Path], tmp_path: Path) -> None:
    network, card = load_network(artifacts["fg"])
    next(network.parameters()).data[0, 0] = float("nan")
    with pytest.raises(ArtifactError, match=r"stages\.base\.dense\.weight.*not finite; nothing was written"):
        save_network(tmp_path / "generator.safetensors", network, card)
    assert list(tmp_path.iterdir()) == []


def test_hash_covers_names_shapes_types_and_bytes() -> None:
    tensor = torch.arange(6.0)
    seen = {
        tensors_sha256({"a": tensor}),
        tensors_sha256({"b": tensor}),
        tensors_sha256({"a": tensor.view(2, 3)}),
        tensors_sha256({"a": tensor.view(torch.int32)}),
        tensors_sha256({"a": -tensor}),  # -0.0 has other bytes than 0.0
        tensors_sha256({"a": tensor, "b": tensor}),
        tensors_sha256({}),
    }
    assert len(seen) == 7
    image = torch.randn(2, 3, 4, 4)
    assert tensors_sha256({"a": image}) == tensors_sha256({"a": image.to(memory_format=torch.channels_last)})
    assert tensors_sha256({"a": tensor, "b": image}) == tensors_sha256({"b": image, "a": tensor})


@pytest.mark.parametrize("length", [0x0280, 0x0380, 0x0480, 0x0580, 0x10280])
def test_a_header_whose_length_looks_like_a_pickle_is_read(length: int, tmp_path: Path) -> None:
    """80 02 begins a pickle, and also a safetensors file whose header has 640 bytes."""
    path = tmp_path / "x.safetensors"
    for padding in range(length):
        write_tensors(path, {"a": torch.zeros(1)}, {"schema_version": 1, "padding": "x" * padding})
        here = struct.unpack("<Q", path.read_bytes()[:8])[0]
        if here >= length:
            break
        if here < length - 8 - 64:
            write_tensors(path, {"a": torch.zeros(1)}, {"schema_version": 1, "padding": "x" * (length - here + padding)})
            break
    assert struct.unpack("<Q", path.read_bytes()[:8])[0] == length
    assert path.read_bytes()[1:2] in b"\x02\x03\x04\x05"
    assert read_tensors(path)[0]["a"].tolist() == [0.0]


# Nothing is ever unpickled


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (os.mkdir, (str(self.trace),))


def as_pt(bomb: Bomb) -> bytes:
    buffer = io.BytesIO()
    torch.save({"weights": bomb}, buffer)
    return buffer.getvalue()


def as_legacy_pt(bomb: Bomb) -> bytes:
    buffer = io.BytesIO()
    torch.save({"weights": bomb}, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def as_zip(bomb: Bomb) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data.pkl", pickle.dumps(bomb))
    return buffer.getvalue()


PICKLES: dict[str, Callable[[Bomb], bytes]] = {
    **{f"protocol {version}": lambda bomb, version=version: pickle.dumps(bomb, version) for version in range(pickle.HIGHEST_PROTOCOL + 1)},
    "torch.save": as_pt,
    "torch.save, legacy": as_legacy_pt,
    "zip": as_zip,
    "gzip": lambda bomb: gzip.compress(pickle.dumps(bomb)),
    "header then pickle": lambda bomb: laid_out(pickle.dumps(bomb)),
}


@pytest.mark.parametrize("kind", PICKLES)
@pytest.mark.parametrize("name", ["generator.safetensors", "generator.pt"])
def test_pickle_is_refused_and_nothing_executed(kind: str, name: str, tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    path = tmp_path / name
    path.write_bytes(PICKLES[kind](Bomb(trace)))
    for read in (load_network, read_card, read_tensors, lambda file: load_layer(file, "fg", 8)):
        message = refusal(path, read)
    assert not trace.exists()
    if kind in ("torch.save", "torch.save, legacy", "zip", "gzip") or int(kind.removeprefix("protocol ")[0].replace("h", "0")) >= 2:
        assert "a pickle or archive, not safetensors; it was not opened" in message
    with pytest.raises(FileExistsError):  # the bomb is armed: unpickled twice, it makes the folder, then fails to
        pickle.loads(pickle.dumps(Bomb(trace))) or pickle.loads(pickle.dumps(Bomb(trace)))


def test_one_module_alone_may_unpickle() -> None:
    """`networks/feature_networks/weights.py` checks a hash and reads weights only; no other module names an unpickler."""
    package = Path(mitlgan.__file__).parent
    unpickler = re.compile(r"(?<!safetensors\.)torch\.load\(|jit\.load\(|pickle\.load|import pickle|joblib|shelve|allow_pickle=True")
    guilty = [path.relative_to(package).as_posix() for path in package.rglob("*.py") if unpickler.search(path.read_text())]
    assert guilty == ["networks/feature_networks/weights.py"]
    calls = re.findall(r"(?<!safetensors\.)torch\.load\([^\n]*", (package / guilty[0]).read_text())
    assert calls
    assert all("weights_only=True" in call for call in calls)


# Headers that lie


def entry(begin: int, end: int, shape: list[int] | None = None) -> dict[str, Any]:
    return {"dtype": "U8", "shape": [end - begin] if shape is None else shape, "data_offsets": [begin, end]}


LIES: dict[str, Callable[[], bytes]] = {
    "2^62 long": lambda: struct.pack("<Q", 2**62) + b"{}" * 100,
    "2^64 - 1 long": lambda: struct.pack("<Q", 2**64 - 1) + b"{}" * 100,
    "longer than the file": lambda: struct.pack("<Q", 1000) + b"{}",
    "longer than the file by one": lambda: struct.pack("<Q", 3) + b"{}",
    "empty": lambda: struct.pack("<Q", 0),
    "over the limit": lambda: laid_out(b"{" + b" " * HEADER_LIMIT_BYTES + b"}"),
    "no JSON": lambda: laid_out(b"{" * 64),
    "deep JSON": lambda: laid_out(b"[" * 1_000_000),
    "deep JSON in the card": lambda: laid_out({"__metadata__": {"mitlgan": "[" * 100_000 + "]" * 100_000}}),
    "deep JSON in a valid card": lambda: laid_out(
        {"__metadata__": {"mitlgan": '{"schema_version": 1, "recipe": {"x": ' + "[" * 900 + "]" * 900 + "}}"}}
    ),
    "a list": lambda: laid_out([GOOD_HEADER]),
    "a number of 5,000 digits": lambda: laid_out(b'{"__metadata__": ' + b"9" * 5000 + b"}"),
    "metadata a list": lambda: laid_out({"__metadata__": ["mitlgan"]}),
    "card not text": lambda: laid_out({"__metadata__": {"mitlgan": {"schema_version": 1}}}),
    "card without version": lambda: laid_out({"__metadata__": {"mitlgan": "{}"}}),
    "version a text": lambda: laid_out({"__metadata__": {"mitlgan": '{"schema_version": "1"}'}}),
    "overlapping": lambda: laid_out({**GOOD_HEADER, "a": entry(0, 8), "b": entry(4, 12)}, bytes(12)),
    "the same bytes twice": lambda: laid_out({**GOOD_HEADER, "a": entry(0, 8), "b": entry(0, 8)}, bytes(8)),
    "a hole": lambda: laid_out({**GOOD_HEADER, "a": entry(0, 4), "b": entry(8, 12)}, bytes(12)),
    "backwards": lambda: laid_out({**GOOD_HEADER, "a": {**entry(0, 4), "data_offsets": [4, 0]}}, bytes(4)),
    "trailing bytes": lambda: laid_out({**GOOD_HEADER, "a": entry(0, 8)}, bytes(9)),
    "missing bytes": lambda: laid_out({**GOOD_HEADER, "a": entry(0, 8)}, bytes(7)),
    "beyond the file": lambda: laid_out({**GOOD_HEADER, "a": entry(0, 2**40)}, bytes(8)),
    "offsets that overflow": lambda: laid_out({**GOOD_HEADER, "a": {**entry(0, 8), "data_offsets": [0, 2**64]}}, bytes(8)),
    "a shape that overflows": lambda: laid_out({**GOOD_HEADER, "a": entry(0, 8, [2**32, 2**32, 2**32])}, bytes(8)),
    "an empty shape that overflows": lambda: laid_out({**GOOD_HEADER, "a": entry(0, 0, [0, 2**63])}),
    "an unknown type": lambda: laid_out({**GOOD_HEADER, "a": {**entry(0, 8), "dtype": "F128"}}, bytes(8)),
    "float8": lambda: laid_out({**GOOD_HEADER, "a": {**entry(0, 8), "dtype": "F8_E4M3"}}, bytes(8)),
    "float4": lambda: laid_out({**GOOD_HEADER, "a": {**entry(0, 8, [16]), "dtype": "F4"}}, bytes(8)),
    "100,000 tensors": lambda: laid_out({**GOOD_HEADER, **{str(i): entry(i, i + 1) for i in range(100_000)}}, bytes(100_000)),
    "30,000 tensors under the limit": lambda: laid_out(
        json.dumps({**GOOD_HEADER, **{str(i): entry(0, 0) for i in range(30_000)}}, separators=(",", ":")).encode()
    ),
    "as many tensors as allowed": lambda: laid_out(
        {**GOOD_HEADER, **{str(i): entry(i, i + 1) for i in range(TENSOR_LIMIT - 1)}}, bytes(TENSOR_LIMIT - 1)
    ),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_lying_header_is_refused_at_once(lie: str, tmp_path: Path) -> None:
    path = tmp_path / "generator.safetensors"
    path.write_bytes(LIES[lie]())
    for read in (read_tensors, load_network):
        refusal(path, read)


def test_the_limits_are_of_the_size_meant() -> None:
    content = LIES["30,000 tensors under the limit"]()
    assert len(content) < HEADER_LIMIT_BYTES
    assert len(json.loads(content[8:])) > TENSOR_LIMIT


@pytest.mark.parametrize("layers", [17, 20_000])
def test_a_card_of_many_layers_is_refused_at_once(artifacts: dict[str, Path], layers: int, tmp_path: Path) -> None:
    def many(header: dict[str, Any]) -> None:
        header["layers"] = {f"l{i}": header["layers"]["fg"] | {"card": {}, "generator": {}} for i in range(layers)}

    assert "layers" in refusal(resigned(artifacts["scene"], many, tmp_path / "x.safetensors"), load_network) or layers > 17


def test_a_card_of_a_giant_network_allocates_nothing(artifacts: dict[str, Path], tmp_path: Path) -> None:
    def giant(header: dict[str, Any]) -> None:
        header["composer"]["translator"] |= {"widths": [8192, 8192, 8192], "blocks": 64}

    path = resigned(artifacts["scene"], giant, tmp_path / "x.safetensors")
    assert "tensor translator." in refusal(path)


# Damage


def test_truncated_anywhere(artifacts: dict[str, Path], tmp_path: Path) -> None:
    whole = artifacts["fg"].read_bytes()
    path = tmp_path / "generator.safetensors"
    for end in [0, 1, 7, 8, 9, 100, *range(200, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:end])
        refusal(path)


def test_any_flipped_bit_is_noticed_or_changes_nothing(artifacts: dict[str, Path], tmp_path: Path) -> None:
    """Bits of all parts of the file: "fg" and "bg" differ by one bit, and so do two values of a leak."""
    whole = artifacts["fg"].read_bytes()
    path = tmp_path / "generator.safetensors"
    original = load_network(artifacts["fg"])
    refused = 0
    for at in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        try:
            assert same(load_network(path), original), f"bit {at % 8} of byte {at} changed what was loaded"
        except ArtifactError:
            refused += 1
    assert refused > 0.9 * len(whole) / 7


def test_a_flipped_bit_in_the_weights_names_the_hash(artifacts: dict[str, Path], tmp_path: Path) -> None:
    damaged = bytearray(artifacts["fg"].read_bytes())
    damaged[-2] ^= 1  # of a mantissa
    path = tmp_path / "generator.safetensors"
    path.write_bytes(damaged)
    assert "its tensors do not match their SHA-256" in refusal(path)


@pytest.mark.parametrize(("old", "new"), [(b'\\"role\\": \\"fg\\"', b'\\"role\\": \\"bg\\"'), (b'\\"leak\\": 0.2', b'\\"leak\\": 0.3')])
def test_an_edited_card_names_the_hash(artifacts: dict[str, Path], old: bytes, new: bytes, tmp_path: Path) -> None:
    whole = artifacts["fg"].read_bytes()
    assert old in whole
    path = tmp_path / "generator.safetensors"
    path.write_bytes(whole.replace(old, new))
    assert "its card does not match its SHA-256" in refusal(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite(artifacts: dict[str, Path], value: float, tmp_path: Path) -> None:
    tensors, header = read_tensors(artifacts["fg"])
    name = "stages.to_image.conv.weight"
    tensors[name].view(-1)[3] = value
    card = {**header, "tensors_sha256": tensors_sha256(tensors)}
    path = tmp_path / "generator.safetensors"
    safetensors.torch.save_file(tensors, path, {"mitlgan": json.dumps(card)})
    assert f"tensor {name} holds a value that is not finite" in refusal(path)


NAME = "stages.to_image.conv.weight"


def _drop(tensors: dict[str, Tensor]) -> None:
    del tensors[NAME]


def _add(tensors: dict[str, Tensor]) -> None:
    tensors["stages.extra\nline\x1b[31m"] = torch.zeros(1)


def _reshape(tensors: dict[str, Tensor]) -> None:
    tensors[NAME] = tensors[NAME].flatten()


def _halve(tensors: dict[str, Tensor]) -> None:
    tensors[NAME] = tensors[NAME].half()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_drop, f"tensor {NAME} is missing"),
        (_add, r"tensor stages.extra\nline\x1b[31m does not belong to the network"),
        (_reshape, f"tensor {NAME} is torch.float32 (108,), the card's network has torch.float32 (3, 4, 3, 3)"),
        (_halve, f"tensor {NAME} is torch.float16 (3, 4, 3, 3), the card's network has torch.float32 (3, 4, 3, 3)"),
    ],
)
def test_other_tensors_than_the_network_has(
    artifacts: dict[str, Path], change: Callable[[dict[str, Tensor]], None], expected: str, tmp_path: Path
) -> None:
    assert expected in refusal(with_tensors(artifacts["fg"], change, tmp_path / "generator.safetensors"))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"latent_dims": {"fg": 4}}, "its card says latent_dims {'fg': 4}"),
        ({"latent_dims": {"bg": 3}}, "its card says latent_dims {'bg': 3}"),
        ({"latent_dims": {}}, "latent_dims"),
        ({"image_channels": 4}, "4 image channels"),
        ({"size_px": 16}, "cannot be built (generator.widths"),
        ({"size_px": 2}, "size_px"),
        ({"role": "foreground"}, "role"),
        ({"kind": "composer"}, "composer without its architecture"),
        ({"generator": None}, "generator without its architecture"),
        ({"value_range": [0]}, "value_range"),
        ({"kimg": 1e999}, "kimg"),
        ({"schema_version": 0}, "schema_version"),
        ({"kind": "checkpoint"}, "a checkpoint whose header does not say how it was trained"),
    ],
)
def test_a_card_that_contradicts_itself(artifacts: dict[str, Path], change: dict[str, Any], expected: str, tmp_path: Path) -> None:
    tensors, header = read_tensors(artifacts["fg"])
    path = tmp_path / "generator.safetensors"
    card = {**header, **change}
    safetensors.torch.save_file(tensors, path, {"mitlgan": json.dumps(card)})
    assert expected in refusal(path)


def test_latents_in_another_order_than_the_layers(artifacts: dict[str, Path], tmp_path: Path) -> None:
    def reorder(header: dict[str, Any]) -> None:
        header["latent_dims"] = {"bg": 2, "fg": 3}

    assert "its card says latent_dims {'bg': 2, 'fg': 3}" in refusal(resigned(artifacts["scene"], reorder, tmp_path / "composer.safetensors"))


# Artifacts that do not fit


def test_a_layer_that_fits(artifacts: dict[str, Path]) -> None:
    for role in ("fg", "bg"):
        generator, card = load_layer(artifacts[role], role, 8)
        assert (card.role, generator.size_px) == (role, 8)
    assert load_layer(artifacts["fg"], "middle", 8)[1].role == "fg"


@pytest.mark.parametrize(("role", "given"), [("bg", "fg"), ("fg", "bg")])
def test_other_role(artifacts: dict[str, Path], role: str, given: str) -> None:
    message = refusal(artifacts[given], lambda path: load_layer(path, role, 8))
    assert message == f"--{role} {artifacts[given]}: was trained as {given}; give one that `mitlgan pretrain {role}` made, or another name by --layer"


def test_other_resolution(artifacts: dict[str, Path]) -> None:
    for name, option in (("fg", f"--fg {artifacts['fg']}"), ("tree", f"--layer tree={artifacts['fg']}")):
        message = refusal(artifacts["fg"], lambda path, name=name: load_layer(path, name, 32))  # type: ignore[misc]
        assert message == (
            f"{option}: makes 8 px, the composition 32 px; give one of 32 px, --set size_px=8, "
            "or say how it is resampled: --set composer.resample=bilinear"
        )
        assert load_layer(artifacts["fg"], name, 32, "bilinear")[0].size_px == 8


def test_other_value_range(artifacts: dict[str, Path], tmp_path: Path) -> None:
    path = resigned(artifacts["fg"], lambda header: header.update(value_range=[0.0, 1.0]), tmp_path / "generator.safetensors")
    message = refusal(path, lambda file: load_layer(file, "fg", 8))
    assert message == f"--fg {path}: its values range over [0.0, 1.0]; a layer's values must be in [-1, 1]"


@pytest.mark.parametrize("read", [load_network, read_card, lambda path: load_layer(path, "fg", 8)])
def test_newer_schema(artifacts: dict[str, Path], read: Callable[[Path], object], tmp_path: Path) -> None:
    """Whatever a newer schema holds is not looked at."""
    path = resigned(artifacts["fg"], lambda _: {"schema_version": 2, "kind": "something", "size_px": "large"}, tmp_path / "generator.safetensors")
    assert refusal(path, read) == f"{path}: its schema_version 2 is newer than 1; upgrade mitlgan"


def test_a_composer_as_layer(artifacts: dict[str, Path]) -> None:
    message = refusal(artifacts["scene"], lambda path: load_layer(path, "fg", 8))
    assert message.endswith("is a composer; give a generator, such as `mitlgan pretrain fg` makes")


# Other files


def test_git_lfs_pointer(tmp_path: Path) -> None:
    path = tmp_path / "generator.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 123456\n")
    for read in (load_network, read_card, read_tensors, lambda file: load_layer(file, "fg", 8)):
        assert refusal(path, read) == f"{path}: a Git-LFS pointer instead of weights; run `git lfs pull`"


def test_not_a_file(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "absent.safetensors")
    assert "not a file" in refusal(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    assert "not a file" in refusal(tmp_path / "fifo")


@pytest.mark.parametrize("text", ["", "hello", "<!DOCTYPE html>" + "x" * 500, "\x89PNG\r\n\x1a\n" + "x" * 200])
def test_other_files(text: str, tmp_path: Path) -> None:
    path = tmp_path / "generator.safetensors"
    path.write_text(text)
    assert "not a safetensors file of this project" in refusal(path)


def test_safetensors_of_another_project(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    for metadata in (None, {"format": "pt"}):
        safetensors.torch.save_file({"weight": torch.zeros(3)}, path, metadata)
        assert "without this project's card; give one that `mitlgan` wrote" in refusal(path)


def test_a_refused_artifact_is_one_line_and_exit_code_4(
    artifacts: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mitlgan.cli import main

    path = tmp_path / "generator.safetensors"
    path.write_bytes(artifacts["fg"].read_bytes()[:-1])
    monkeypatch.setattr(sys, "argv", ["mitlgan", "sample", str(path), "-n", "1", "--out", str(tmp_path / "out")])
    monkeypatch.delenv("MITLGAN_DEBUG", raising=False)
    with pytest.raises(SystemExit) as caught:
        main()
    shown = capsys.readouterr()
    assert caught.value.code == 4
    assert shown.out == ""
    assert shown.err.startswith(f"{path}: ")
    assert shown.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


# Fuzz


def loads_equal_or_refused(damaged: bytes, path: Path, original: tuple[nn.Module, Card]) -> bool:
    path.write_bytes(damaged)
    try:
        loaded = load_network(path)
    except ArtifactError as error:
        refused = str(error)
    else:
        assert same(loaded, original)
        return True
    assert str(path) in refused
    assert refused.isprintable()
    return False


def role_of(seed: int) -> str:
    """Every fifth mutation is one of a composition, whose networks take longest to build."""
    return "fg" if seed % 5 else "scene"


@counts
def test_mutated_artifacts_load_equal_or_are_refused(artifacts: dict[str, Path], tmp_path: Path, count: int) -> None:
    originals = {role: (artifacts[role].read_bytes(), load_network(artifacts[role])) for role in ("fg", "scene")}
    accepted = 0
    for seed in range(count):
        whole, original = originals[role_of(seed)]
        accepted += loads_equal_or_refused(mutated(whole, random.Random(seed)), tmp_path / "x.safetensors", original)
    assert accepted < count / 5


@counts
def test_mutated_cards_describe_the_same_network_or_are_refused(artifacts: dict[str, Path], tmp_path: Path, count: int) -> None:
    """Cards changed and signed once more: whatever loads must also give images."""
    originals = {role: read_tensors(artifacts[role]) for role in ("fg", "scene")}
    for seed in range(count):
        tensors, header = originals[role_of(seed)]
        path = tmp_path / "x.safetensors"
        path.write_bytes(safetensors.torch.save(tensors, {"mitlgan": json.dumps(mutated_tree(header, random.Random(seed)))}))
        try:
            network, loaded = load_network(path)
        except ArtifactError:
            continue
        assert network(torch.zeros(1, sum(loaded.latent_dims.values()))).shape == (1, 3, 8, 8)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_property_any_edit_loads_equal_or_is_refused(artifacts: dict[str, Path], tmp_path: Path, data: st.DataObject) -> None:
    whole = artifacts["fg"].read_bytes()
    begin = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(begin, min(len(whole), begin + 16)))
    piece = data.draw(st.binary(max_size=16))
    loads_equal_or_refused(whole[:begin] + piece + whole[end:], tmp_path / "x.safetensors", load_network(artifacts["fg"]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_property_any_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    for bytes_ in (content, laid_out(content)):
        path.write_bytes(bytes_)
        with pytest.raises(ArtifactError):
            read_header(path)


@pytest.mark.parametrize(
    ("first", "second", "size"),
    [
        ((0, 8), (8, 12), 12),
        ((4, 12), (0, 4), 12),  # in another order
        ((0, 8), (8, 12), 11),
        ((0, 8), (8, 12), 13),
        ((0, 8), (8, 12), 0),
        ((0, 8), (12, 16), 16),  # a gap
        ((1, 9), (9, 13), 13),
        ((0, 8), (4, 8), 8),  # one upon the other
        ((0, 8), (8, 4), 12),
        ((0, 8), (8, 12.0), 12),
        ((0, 8), (8, True), 12),
        ((0, 8), (8,), 12),
    ],
)
def test_a_header_is_read_only_of_a_file_that_holds_its_tensors(first: tuple[Any, ...], second: tuple[Any, ...], size: int, tmp_path: Path) -> None:
    """What safetensors refuses for its extent is refused before the tensors are read."""
    metadata = {"mitlgan": json.dumps({"schema_version": 1})}
    entries = {"a": {"dtype": "F32", "shape": [2], "data_offsets": first}, "b": {"dtype": "F32", "shape": [1], "data_offsets": second}}
    raw = json.dumps({"__metadata__": metadata, **entries}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(size))
    try:
        safetensors.torch.load_file(path)
    except safetensors.SafetensorError:
        with pytest.raises(ArtifactError, match=rf"^{path}: damaged \(.*\); take it from its source again$"):
            read_header(path)
    else:
        assert read_header(path) == {"schema_version": 1}


def test_a_recipe_survives_in_the_card(artifacts: dict[str, Path], fg_recipe: Recipe) -> None:
    card = read_card(artifacts["fg"])
    assert Recipe.model_validate_json(json.dumps(card.recipe)) == fg_recipe.model_copy(update={"name": "tiny-fg"})


def test_an_interrupt_during_a_read_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library reports whatever Python raises inside it as its own error."""
    path, load = tmp_path / "a.safetensors", safetensors.torch.load_file
    write_tensors(path, {"a": torch.ones(2)}, {"schema_version": 1})

    def interrupted(path: Path) -> dict[str, Tensor]:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise TypeError("could not determine the shape of object type 'torch.storage.UntypedStorage'") from None
        return load(path)

    monkeypatch.setattr(safetensors.torch, "load_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        read_tensors(path)
