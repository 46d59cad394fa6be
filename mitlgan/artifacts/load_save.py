"""Reading and writing artifacts: a frozen network as safetensors, with its card in the file and next to it."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mitlgan.artifacts.card import CHECKPOINT, KIND_WITH_ARTICLE, LAYER_ROLES, Card, LayerCard, build_network, read_card, read_weights_hash
from mitlgan.artifacts.safetensors_io import read_header, read_tensors, require_finite, tensors_sha256, write_tensors
from mitlgan.artifacts.times import split_times, write_times
from mitlgan.errors import ArtifactError
from mitlgan.networks import Composer, Generator, Network
from mitlgan.networks.batchnorm import recalibrate_batchnorm
from mitlgan.recipe import as_dict, shipped_folder
from mitlgan.runtime.files import write_json
from mitlgan.runtime.output_folders import require_writable
from mitlgan.version import __version__

CARD_FILE = "card.json"
Score = Literal["embedding", "recovery", "inpainting"]
"""Names of what a card's metrics hold besides an evaluation's figures."""
MOVING_AVERAGE = "ema."
"""Begins the names of the moving average's tensors in a checkpoint."""
CRITIC_FOLDER = "critic"
"""Folder next to a generator for the critic it was trained with: each artifact has a card of its own in its folder."""
CRITIC_FILE = "critic.safetensors"


def save_network(
    path: Path, network: nn.Module, card: Card, *, without_generators: bool = False, root: Path | None = None, is_new: bool = False
) -> None:
    """Write an artifact, and next to it its card as `card.json`, and its times as `times.json`, so that equal trainings make equal artifacts.

    Args:
        path: File to write.
        network: Network whose tensors are saved.
        card: Description of the network.
        without_generators: Leave out a composer's frozen generators; reading finds them by their hashes, see `load_network`.
        root: Folder that it must be in; see `mitlgan.runtime.files.write_atomically`.
        is_new: As there; for the card and the times, where they do not exist yet.

    Raises:
        ArtifactError: A weight is not finite, or the generators could not be found again; nothing is written.
        ResourceError: The file cannot be written.
    """
    tensors = network_tensors(network)
    require_finite(path, tensors)  # before the times are written
    whole_hash = tensors_sha256(tensors)
    made_by = f"mitlgan {__version__}, torch {torch.__version__}, {platform.machine()}"
    whole_card = card.model_copy(update={"made_by": made_by, "whole_sha256": whole_hash if without_generators else None})
    header, times = split_times(as_dict(whole_card))
    if without_generators:
        frozen = _read_frozen_tensors(path, card)
        if tensors_sha256(tensors | frozen) != whole_hash:
            raise ArtifactError(f"{path}: the card names other generators than the network has; nothing was written")
        tensors = {name: tensor for name, tensor in tensors.items() if name not in frozen}
    card_path = path.with_name(CARD_FILE)
    is_card_new = is_new and not os.path.lexists(card_path)
    write_times(path, times, whole_hash, root=root, is_new=is_new)
    write_tensors(path, tensors, header, root=root, is_new=is_new)
    write_json(card_path, {**header, "tensors_sha256": whole_hash}, root=root, is_new=is_card_new)


def load_network(path: Path) -> tuple[Network, Card]:
    """Read an artifact, or the moving average in a checkpoint, on the CPU, in eval mode and without gradients.

    Generators that a composer's file names by hash are read from artifacts in its folder, in the folders next to that one, or from the shipped
    artifacts. No path in the file is followed.

    Torch's default type does not matter.

    Returns:
        The network, and its card as that of a file that holds all tensors.

    Raises:
        ArtifactError: The file is damaged, does not fit its card, or a generator that it names cannot be found.
    """
    card = read_card(path)
    with torch.device("meta"):
        network = build_network(card, str(path)).float()  # whatever torch's default type is
    tensors, header = read_tensors(path)
    if header.get("kind") == CHECKPOINT:
        return _load_moving_average(path, card, network, tensors), card
    if card.whole_sha256 is not None:
        tensors |= _read_frozen_tensors(path, card)
        if tensors_sha256(tensors) != card.whole_sha256:
            raise ArtifactError(f"{path}: with its generators, its tensors do not match their SHA-256; take it from its source again")
    network = _filled(path, card, network, tensors)
    return network.eval().requires_grad_(False), card.model_copy(update={"whole_sha256": None})


def _filled(path: Path, card: Card, network: Network, tensors: Mapping[str, Tensor]) -> Network:
    """Return a network that was built on the device `meta` with a file's tensors, on the CPU.

    No initial weights are drawn, which would use up random numbers that all threads share, but for a critic with a feature network: what that needs
    comes from a file of its own, when it is built. Only trainings read one.

    Raises:
        ArtifactError: They are not the tensors of the network.
    """
    _check_same_tensors(path, network_tensors(network), tensors)
    if {name for name, _ in network.named_buffers()} <= set(network.state_dict()):
        network.to_empty(device="cpu")
        for name, buffer in network.named_buffers():
            if name.endswith("num_batches_tracked"):  # BatchNorm's unused counters, which files do not hold
                buffer.zero_()
    else:
        network = build_network(card, str(path)).float()
    network.load_state_dict(tensors, strict=False)  # every tensor was compared above; only these counters are absent
    return network


def _load_moving_average(path: Path, card: Card, network: Network, tensors: Mapping[str, Tensor]) -> Network:
    """Return a checkpoint's moving average, with the BatchNorm statistics that a training measures before it keeps one."""
    average = {name.removeprefix(MOVING_AVERAGE): tensor for name, tensor in tensors.items() if name.startswith(MOVING_AVERAGE)}
    stored = {name: tensor for name, tensor in average.items() if not name.endswith("num_batches_tracked")}
    network = _filled(path, card, network, stored)
    if isinstance(network, Composer) and layer_hashes(network) != {name: layer.sha256_before for name, layer in card.layers.items()}:
        raise ArtifactError(f"{path}: its frozen layers are not those that its training began with; the file is damaged or was edited")
    network = network.requires_grad_(False).to(memory_format=torch.channels_last)  # as it is trained: sums are rounded alike
    return recalibrate_batchnorm(network, int(card.recipe["seed"]))


def load_layer(path: Path, name: str, size_px: int, resample: str | None = None) -> tuple[Generator, Card]:
    """Read a generator as a layer of a composition.

    Args:
        path: Artifact of the generator.
        name: Layer name; `fg` and `bg` take generators of that role, other names take any role.
        size_px: Size of the composition.
        resample: How the composition resamples layers of other sizes; None refuses them.

    Raises:
        ArtifactError: The artifact does not fit; the message says what would.
    """
    check_layer_card(path, name, size_px, resample)
    network, card = load_network(path)
    assert isinstance(network, Generator)
    return network, card


def check_layer_card(path: Path, name: str, size_px: int, resample: str | None = None) -> None:
    """Check by its card that an artifact can be a layer; as `load_layer`, without reading the weights.

    Raises:
        ArtifactError: The artifact does not fit; the message says what would.
    """
    option = _layer_option(path, name)
    card = read_card(path)
    if card.kind != "generator":
        kind = KIND_WITH_ARTICLE[card.kind]
        raise ArtifactError(f"{option}: is {kind}; give a generator, such as `mitlgan pretrain {LAYER_ROLES.get(name, 'fg')}` makes")
    if name in LAYER_ROLES and card.role != LAYER_ROLES[name]:
        raise ArtifactError(f"{option}: was trained as {card.role}; give one that `mitlgan pretrain {name}` made, or another name by --layer")
    if card.size_px != size_px and resample is None:
        raise ArtifactError(
            f"{option}: makes {card.size_px} px, the composition {size_px} px; give one of {size_px} px, --set size_px={card.size_px}, "
            "or say how it is resampled: --set composer.resample=bilinear"
        )
    if tuple(card.value_range) != (-1.0, 1.0):
        raise ArtifactError(f"{option}: its values range over {list(card.value_range)}; a layer's values must be in [-1, 1]")


def refuse_checkpoint_layer(path: Path, name: str) -> None:
    """Refuse a checkpoint as a layer of trainings that are to be found again by their layers' hashes; see `network_hash`.

    Raises:
        ArtifactError: It is one.
    """
    if is_checkpoint(path):
        raise ArtifactError(
            f"{_layer_option(path, name)}: is a checkpoint, which a comparison cannot tell again: its BatchNorm statistics are measured at each load, "
            "and differ with the number of threads; give a finished run, or a step of which an artifact was kept (training.artifact_kimg)"
        )


def _layer_option(path: Path, name: str) -> str:
    return f"--{name} {path}" if name in LAYER_ROLES else f"--layer {name}={path}"


def check_generators_found(path: Path, card: Card) -> None:
    """Check that a composer's generators can be found from the folder of its file; reads only headers.

    Raises:
        ArtifactError: A generator cannot be found.
    """
    for name, layer in card.layers.items():
        _find_generator(path, name, layer)


def is_checkpoint(path: Path) -> bool:
    """Return whether a file is a checkpoint, whose moving average is loaded as an artifact.

    Raises:
        ArtifactError: The file is neither.
    """
    return bool(read_header(path).get("kind") == CHECKPOINT)


def network_hash(path: Path) -> str:
    """Return the hash of the network that a file gives, as `LoadedArtifact.tensors_sha256` and a composition's `Run.read_inputs` have it.

    An artifact's header says it. A checkpoint is loaded for it, which takes seconds: its header's hash is of all that a training goes on with, and
    that of its network differs with the number of threads, by the rounding of its BatchNorm statistics.

    Raises:
        ArtifactError: The file is neither, or a checkpoint is damaged.
    """
    return tensors_sha256(network_tensors(load_network(path)[0])) if is_checkpoint(path) else read_weights_hash(path)


def check_card(path: Path) -> None:
    """Refuse an artifact whose card metrics could not be written into; call it before they are measured.

    Raises:
        ArtifactError: It is a checkpoint, which has no card, or is not an artifact.
        ResourceError: Its folder cannot be written.
    """
    if is_checkpoint(path):
        raise ArtifactError(
            f"--write-card {path}: is a checkpoint, which has no card; leave --write-card out, or keep artifacts (training.artifact_kimg)"
        )
    require_writable(path)


def record_metrics(path: Path, metrics: dict[str, Any], measured_sha256: str) -> None:
    """Write metrics into an artifact's card; its tensors do not change.

    Args:
        path: Its file.
        metrics: What the card says from now on.
        measured_sha256: Hash of the tensors that were measured, of the network as it was loaded: a longer training may replace the file meanwhile.

    Raises:
        ArtifactError: The file is not an artifact, or holds another network by now; nothing is written.
        ResourceError: Its folder cannot be written.
    """
    check_card(path)
    require_same_weights(path, measured_sha256)
    without_generators = read_card(path).whole_sha256 is not None
    network, card = load_network(path)
    changed = card.model_copy(update={"metrics": metrics})
    require_same_weights(path, measured_sha256)  # right before it is written
    save_network(path, network, changed, without_generators=without_generators, root=path.parent)


def require_same_weights(path: Path, measured_sha256: str) -> None:
    """Refuse an artifact whose file holds other tensors than those that were measured, as a longer training has replaced it meanwhile.

    Args:
        path: Its file.
        measured_sha256: Hash of the tensors that were measured; see `read_weights_hash`.

    Raises:
        ArtifactError: It holds others, or is no artifact any more.
    """
    if read_weights_hash(path) != measured_sha256:
        raise ArtifactError(f"{path}: was replaced while it was measured; measure again")


def network_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Return weights and running statistics as artifacts store and hash them: without BatchNorm's unused batch counters."""
    return {name: tensor for name, tensor in network.state_dict().items() if not name.endswith("num_batches_tracked")}


def layer_hashes(composer: Composer) -> dict[str, str]:
    """Return the hash of each frozen generator, BatchNorm statistics included."""
    return {name: tensors_sha256(network_tensors(generator)) for name, generator in composer.generators.items()}


def _check_same_tensors(path: Path, expected: Mapping[str, Tensor], stored: Mapping[str, Tensor]) -> None:
    for name in expected:
        if name not in stored:
            raise ArtifactError(f"{path}: tensor {name} is missing")
    for name, tensor in stored.items():
        if name not in expected:
            raise ArtifactError(f"{path}: tensor {name} does not belong to the network")
        if tensor.shape != expected[name].shape or tensor.dtype != expected[name].dtype:
            expectation = f"{expected[name].dtype} {tuple(expected[name].shape)}"
            raise ArtifactError(f"{path}: tensor {name} is {tensor.dtype} {tuple(tensor.shape)}, the card's network has {expectation}")


def _read_frozen_tensors(path: Path, card: Card) -> dict[str, Tensor]:
    """Read a composer's frozen generators from their own artifacts; tensors are named as in the composer."""
    frozen: dict[str, Tensor] = {}
    for name, layer in card.layers.items():
        tensors, _ = read_tensors(_find_generator(path, name, layer))
        frozen |= {f"layers.{name}.{key}": tensor for key, tensor in tensors.items()}
    return frozen


def _find_generator(path: Path, name: str, layer: LayerCard) -> Path:
    for file in _search_paths(path):
        with suppress(ArtifactError):
            header = read_header(file)
            if header.get("kind") == "generator" and header.get("tensors_sha256") == layer.sha256_after:
                return file
    raise ArtifactError(
        f"{path}: does not hold its generator {name!r}, whose tensors have the SHA-256 {layer.sha256_after[:64]!r}; no artifact near it and no "
        "shipped one has them either; put that generator into a folder next to its own"
    )


def _search_paths(path: Path) -> Iterator[Path]:
    folder = path.absolute().parent
    yield from sorted(folder.glob("*.safetensors"))
    yield from sorted(folder.parent.glob("*/generator.safetensors"))
    yield from sorted(shipped_folder("pretrained").glob("*/generator.safetensors"))
