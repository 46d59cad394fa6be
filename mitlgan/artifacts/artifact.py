"""Artifacts: a frozen generator, composer, inpainter or critic for use, as safetensors with a JSON card in it and beside it."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from mitlgan import networks
from mitlgan.artifacts.safetensors_io import read_header, read_tensors, tensors_sha256, write_tensors
from mitlgan.data.sources.split_folders import with_correct_splits
from mitlgan.errors import ArtifactError, MitlganError
from mitlgan.networks import Composer, ContextEncoder, Critic, Generator
from mitlgan.recipe import AnyCritic, AnyGenerator, ComposerRecipe, InpainterRecipe, Recipe, Role, as_dict, shipped_folder
from mitlgan.runtime.files import write_json
from mitlgan.version import __version__

SCHEMA_VERSION = 1
LAYER_ROLES = {"fg": "fg", "bg": "bg"}
CRITIC_FOLDER = "critic"
"""Of the critic that a generator was trained against, beside that generator: a folder, for each artifact has its card beside it."""
CRITIC_FILE = "critic.safetensors"
Kind = Literal["generator", "composer", "inpainter", "critic"]
KIND_WITH_ARTICLE: dict[Kind, str] = {"generator": "a generator", "composer": "a composer", "inpainter": "an inpainter", "critic": "a critic"}


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class GeneratorSpec(NamedTuple):
    """What a layer's generator is built by.

    Attributes:
        generator: Its architecture.
        size_px: Height and width of its own images, which the composition may resample.
    """

    generator: AnyGenerator
    size_px: int

    def build(self) -> Generator:
        """The generator, newly initialised.

        Raises:
            UsageError: The architecture does not lead to the size.
        """
        return networks.build_generator(self.generator, self.size_px)


class LayerCard(_Model):
    """One frozen layer of a composer.

    Attributes:
        role: What its generator was trained on.
        generator: Its architecture.
        size_px: Height and width of its own images; absent: the composition's.
        sha256_before: Hash of its tensors in the artifact that it was taken from.
        sha256_after: The same after training the composition; equal, or it was not frozen.
        card: The source artifact's own account of its training (data, kimg, seconds).
    """

    role: Role
    generator: AnyGenerator
    size_px: Annotated[int, Field(ge=4, le=4096)] | None = None
    sha256_before: str
    sha256_after: str
    card: dict[str, Any] = {}

    def training_records(self) -> list[dict[str, Any]]:
        """The account of its training, and of those of the generators that it began with or grew from."""
        return _record_with_parents(self.card)

    def total_spent(self, key: str) -> float:
        """What these took together.

        Args:
            key: `kimg`, `seconds` or `cpu_seconds`.
        """
        return sum(float(account.get(key) or 0.0) for account in self.training_records())

    def generator_spec(self, composed_px: int) -> GeneratorSpec:
        """What its generator is built by, in a composition of a size."""
        return GeneratorSpec(self.generator, self.size_px or composed_px)


class Card(_Model):
    """What an artifact is, and where it came from.

    Attributes:
        kind: `generator` or `composer`, which make pictures of latents, `inpainter`, which fills holes in pictures, or `critic`, which scores
            them: the one that a generator was trained against, so that a training can go on from both.
        role: Which images it makes.
        size_px: Their height and width.
        latent_dims: Length of the latent by layer; a generator has one, under its role, an inpainter and a critic none.
        latent_distribution: Of each number in it.
        value_range: Of the images.
        generator: Architecture of a generator.
        composer: Fusion and translator of a composer.
        inpainter: Architecture of an inpainter.
        critic: Architecture of a critic.
        parent: The generator whose weights this one's training began with or grew from: which it is, and what its own training took.
        layers: Frozen layers of a composer, in the order of their latents.
        whole_sha256: Of a composer's file that names its frozen generators by their hashes in place of holding them: the hash of all its tensors,
            theirs included. Absent: the file holds everything.
        recipe: The resolved recipe of the run.
        data: Name, count, content hash, licence of the pictures.
        kimg: Thousand real images shown to the critic.
        iterations: Generator updates.
        seconds: Time that this stage took; `cpu_seconds` summed over threads.
        metrics: Figures with their protocol.
        licence: Of the weights.
        credit: Whose pictures they were trained on.
        notes: Anything a user should know.
    """

    schema_version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    kind: Kind
    role: Role
    size_px: Annotated[int, Field(ge=4, le=4096)]
    image_channels: Literal[1, 3, 4] = 3
    latent_dims: Annotated[dict[str, Annotated[int, Field(ge=1, le=65536)]], Field(max_length=16)]
    latent_distribution: Literal["normal"] = "normal"
    value_range: tuple[float, float] = (-1.0, 1.0)
    generator: AnyGenerator | None = None
    composer: ComposerRecipe | None = None
    inpainter: InpainterRecipe | None = None
    critic: AnyCritic | None = None
    parent: dict[str, Any] = {}
    layers: Annotated[dict[str, LayerCard], Field(max_length=16)] = {}
    whole_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    recipe: dict[str, Any] = {}
    data: dict[str, Any] = {}
    kimg: float = 0.0
    iterations: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    metrics: dict[str, Any] = {}
    licence: str = ""
    credit: str = ""
    notes: str = ""
    made_by: str = ""

    def training_records(self) -> list[dict[str, Any]]:
        """The account of its training, and of those of the generators that it began with or grew from."""
        own = {key: getattr(self, key) for key in ("kimg", "seconds", "cpu_seconds", "parent")}
        return _record_with_parents({**own, "made_by": self.recipe})

    def generator_specs(self) -> dict[str, GeneratorSpec]:
        """What the frozen generators of a composer are built by, by layer."""
        return {name: layer.generator_spec(self.size_px) for name, layer in self.layers.items()}

    def back_to_front(self) -> tuple[str, ...]:
        """A composer's layers from the back to the front: by its fusion, else as such an order is found where nothing is said."""
        return networks.back_to_front(None if self.composer is None else self.composer.order, self.layers)


def _record_with_parents(account: Any) -> list[dict[str, Any]]:
    found = []
    while isinstance(account, dict) and account:
        found.append(account)
        account = account.get("parent")
    return found


def build_network(card: Card, source: str) -> nn.Module:
    """The network that a card describes, with newly initialised weights.

    Args:
        card: With an architecture.
        source: The card's file, which begins the message.

    Raises:
        ArtifactError: The card describes none.
    """
    try:
        network = _build(card)
    except MitlganError as error:
        raise ArtifactError(f"{source}: its card describes a network that cannot be built ({error})") from None
    if network is None:
        raise ArtifactError(f"{source}: its card is that of a {card.kind} without its architecture")
    same_latents = list(latent_dims(network, card.role).items()) == list(card.latent_dims.items())  # in the same order
    if not same_latents or network.image_channels != card.image_channels:
        raise ArtifactError(f"{source}: its card says latent_dims {card.latent_dims} and {card.image_channels} image channels; its network has others")
    return network


def _build(card: Card) -> nn.Module | None:
    if card.kind == "generator" and card.generator is not None:
        return networks.build_generator(card.generator, card.size_px)
    if card.kind == "composer" and card.composer is not None and card.layers:
        return networks.build_composer(card.composer, {name: form.build() for name, form in card.generator_specs().items()}, card.size_px)
    if card.kind == "inpainter" and card.inpainter is not None:
        return networks.build_inpainter(card.inpainter, card.size_px)
    if card.kind == "critic" and card.critic is not None:
        return networks.build_critic(card.critic, card.size_px)
    return None


def save_network(path: Path, network: nn.Module, card: Card, *, without_generators: bool = False) -> None:
    """Write an artifact and, beside it, its card as `card.json`.

    Args:
        path: The file.
        network: What it holds.
        card: What that is.
        without_generators: Leave a composer's frozen generators out, which are then looked for by their hashes where the file is read; see `load`.

    Raises:
        ArtifactError: A weight is not finite, or the generators could not be found again; nothing is written.
        ResourceError: The disk refuses.
    """
    tensors = network_tensors(network)
    whole = tensors_sha256(tensors)
    made_by = f"mitlgan {__version__}, torch {torch.__version__}, {platform.machine()}"
    header = as_dict(card.model_copy(update={"made_by": made_by, "whole_sha256": whole if without_generators else None}))
    if without_generators:
        frozen = _frozen_tensors(path, card)
        if tensors_sha256(tensors | frozen) != whole:
            raise ArtifactError(f"{path}: the card names other generators than the network has; nothing was written")
        tensors = {name: tensor for name, tensor in tensors.items() if name not in frozen}
    write_tensors(path, tensors, header)
    write_json(path.with_name("card.json"), {**header, "tensors_sha256": whole})


def read_card(path: Path) -> Card:
    """The card of an artifact, without its weights.

    Raises:
        ArtifactError: Not an artifact, or of a newer schema.
    """
    return _parse_card(path, read_header(path))


def read_weights_hash(path: Path) -> str:
    """The hash of an artifact's tensors, as its header has it: tells two artifacts apart, whatever their files' names and forms.

    Raises:
        ArtifactError: Not an artifact.
    """
    header = read_header(path)
    return str(header.get("whole_sha256") or header.get("tensors_sha256"))


def load_network(path: Path) -> tuple[nn.Module, Card]:
    """Read an artifact on the CPU, in eval mode and without gradients.

    Generators that a composer's file names by hash are taken from the artifacts beside it, in its folder or in the folders beside that one, or
    from the shipped ones. No path in the file is followed.

    Returns:
        The network, and its card as that of a file which holds all of it.

    Raises:
        ArtifactError: One line that says what is wrong with it (FAULTS 30-34), or which generator is nowhere.
    """
    card = read_card(path)
    with torch.device("meta"):
        described = build_network(card, str(path))
    tensors, _ = read_tensors(path)
    if card.whole_sha256 is not None:
        tensors |= _frozen_tensors(path, card)
        if tensors_sha256(tensors) != card.whole_sha256:
            raise ArtifactError(f"{path}: with its generators, its tensors do not match their SHA-256; take it from its source again")
    _check_same_tensors(path, network_tensors(described), tensors)
    network = build_network(card, str(path))
    network.load_state_dict(tensors, strict=False)  # every tensor was compared above; only BatchNorm's unused batch counters are absent
    return network.eval().requires_grad_(False), card.model_copy(update={"whole_sha256": None})


def check_generators_found(path: Path, card: Card) -> None:
    """See that a composer's generators can be found from where its file lies, without reading more of them than their headers.

    Raises:
        ArtifactError: One is nowhere.
    """
    for name, layer in card.layers.items():
        _generator_file(path, name, layer)


def load_layer(path: Path, name: str, size_px: int, resample: str | None = None) -> tuple[Generator, Card]:
    """Read a generator that is to be a layer of a composition.

    Args:
        path: The artifact.
        name: `fg` or `bg`, or another name, which takes any role.
        size_px: The composition's size.
        resample: How the composition resamples layers of other sizes; None refuses them.

    Raises:
        ArtifactError: It does not fit; says which and what would (FAULTS 33).
    """
    option = f"--{name} {path}" if name in LAYER_ROLES else f"--layer {name}={path}"
    card = read_card(path)
    if card.kind != "generator":
        raise ArtifactError(
            f"{option}: is {KIND_WITH_ARTICLE[card.kind]}; give a generator, such as `mitlgan pretrain {LAYER_ROLES.get(name, 'fg')}` makes"
        )
    if name in LAYER_ROLES and card.role != LAYER_ROLES[name]:
        raise ArtifactError(f"{option}: was trained as {card.role}; give one that `mitlgan pretrain {name}` made, or another name by --layer")
    if card.size_px != size_px and resample is None:
        raise ArtifactError(
            f"{option}: makes {card.size_px} px, the composition {size_px} px; give one of {size_px} px, --set size_px={card.size_px}, "
            "or say how it is resampled: --set composer.resample=bilinear"
        )
    if tuple(card.value_range) != (-1.0, 1.0):
        raise ArtifactError(f"{option}: its values lie in {list(card.value_range)}; a layer must be in [-1, 1]")
    network, card = load_network(path)
    assert isinstance(network, Generator)
    return network, card


def network_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Weights and running statistics, as artifacts hold and hash them: BatchNorm's batch counters, which nothing reads, are left out."""
    return {name: tensor for name, tensor in network.state_dict().items() if not name.endswith("num_batches_tracked")}


def layer_hashes(composer: Composer) -> dict[str, str]:
    """Hash of each frozen generator, BatchNorm statistics included."""
    return {name: tensors_sha256(network_tensors(generator)) for name, generator in composer.generators.items()}


def artifact_kind(network: nn.Module) -> Kind:
    """What an artifact of a network is, which is also its file's name."""
    if isinstance(network, ContextEncoder):
        return "inpainter"
    if isinstance(network, Critic):
        return "critic"
    return "composer" if isinstance(network, Composer) else "generator"


def latent_dims(network: nn.Module, role: str) -> dict[str, int]:
    """Latent length by layer, as a card names them."""
    if isinstance(network, ContextEncoder | Critic):
        return {}
    return dict(network.latent_dims) if isinstance(network, Composer) else {role: int(network.latent_dim)}  # type: ignore[arg-type]


def make_card(network: nn.Module, recipe: Recipe, **account: Any) -> Card:
    """The card of a network that a recipe's run made."""
    return Card(
        kind=artifact_kind(network),
        role=recipe.role,
        size_px=recipe.size_px,
        image_channels=int(network.image_channels),  # type: ignore[arg-type]
        latent_dims=latent_dims(network, recipe.role),
        **(
            {"critic": recipe.critic}
            if isinstance(network, Critic)
            else {"generator": recipe.generator, "composer": recipe.composer, "inpainter": recipe.inpainter}
        ),
        recipe=as_dict(recipe),
        **account,
    )


def _parse_card(path: Path, header: dict[str, Any]) -> Card:
    if header.get("kind") == "checkpoint":
        raise ArtifactError(f"{path}: a checkpoint, not an artifact; `mitlgan resume` goes on from it")
    if header["schema_version"] > SCHEMA_VERSION:
        raise ArtifactError(f"{path}: its schema_version {header['schema_version']} is newer than {SCHEMA_VERSION}; upgrade mitlgan")
    try:
        card = Card.model_validate_json(json.dumps(header))
        training = str(card.data.get("content_sha256", ""))
        return card.model_copy(update={"metrics": with_correct_splits(card.metrics, training)}) if card.metrics else card
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ArtifactError(f"{path}: its card is not valid: {where}: {first['msg']}".replace("\n", " ")) from None


def _check_same_tensors(path: Path, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    for name in expected:
        if name not in found:
            raise ArtifactError(f"{path}: tensor {name} is missing")
    for name, tensor in found.items():
        if name not in expected:
            raise ArtifactError(f"{path}: tensor {name} is none of the network's")
        if tensor.shape != expected[name].shape or tensor.dtype != expected[name].dtype:
            wanted = f"{expected[name].dtype} {tuple(expected[name].shape)}"
            raise ArtifactError(f"{path}: tensor {name} is {tensor.dtype} {tuple(tensor.shape)}, the card's network has {wanted}")


def _frozen_tensors(path: Path, card: Card) -> dict[str, Tensor]:
    """The tensors of a composer's frozen generators, from artifacts of their own, under the names that they have in the composer."""
    found: dict[str, Tensor] = {}
    for name, layer in card.layers.items():
        tensors, _ = read_tensors(_generator_file(path, name, layer))
        found |= {f"layers.{name}.{key}": tensor for key, tensor in tensors.items()}
    return found


def _generator_file(path: Path, name: str, layer: LayerCard) -> Path:
    for file in _search_paths(path):
        with suppress(ArtifactError):
            header = read_header(file)
            if header.get("kind") == "generator" and header.get("tensors_sha256") == layer.sha256_after:
                return file
    raise ArtifactError(
        f"{path}: does not hold its generator {name!r}, whose tensors have the SHA-256 {layer.sha256_after[:64]!r}; no artifact beside it or shipped "
        "has them either; put that generator into a folder beside its own"
    )


def _search_paths(path: Path) -> Iterator[Path]:
    folder = path.absolute().parent
    yield from sorted(folder.glob("*.safetensors"))
    yield from sorted(folder.parent.glob("*/generator.safetensors"))
    yield from sorted(shipped_folder("pretrained").glob("*/generator.safetensors"))


def record_metrics(path: Path, metrics: dict[str, Any]) -> None:
    """Write figures into an artifact's card; its tensors stay as they are.

    Raises:
        ArtifactError: Not an artifact.
    """
    network, card = load_network(path)
    save_network(path, network, card.model_copy(update={"metrics": metrics}), without_generators=read_card(path).whole_sha256 is not None)
