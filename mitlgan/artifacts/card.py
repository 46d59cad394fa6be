"""Cards: the JSON description that every artifact carries, and the network that a card describes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mitlgan import networks
from mitlgan.artifacts.picture_sets import CARD_KEY, describe_sets, sets_of_header, sets_record
from mitlgan.artifacts.safetensors_io import read_header
from mitlgan.artifacts.times import add_times
from mitlgan.data.sources.split_folders import with_correct_splits
from mitlgan.errors import ArtifactError, MitlganError
from mitlgan.networks import Generator, Kind, Network
from mitlgan.recipe import AnyCritic, AnyGenerator, ComposerRecipe, InpainterRecipe, Recipe, Role, as_dict, ladder_steps, parse_recipe
from mitlgan.recipe.schema.judges import critic_networks

SCHEMA_VERSION = 1
CHECKPOINT = "checkpoint"
"""Kind of the files that a training goes on from; its moving average can be used as an artifact."""
LAYER_ROLES = {"fg": "fg", "bg": "bg"}
"""Layer name -> the role its generator must have been trained for. Layers of other names take any role."""
KIND_WITH_ARTICLE: dict[Kind, str] = {"generator": "a generator", "composer": "a composer", "inpainter": "an inpainter", "critic": "a critic"}


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class GeneratorSpec(NamedTuple):
    """Architecture and image size of a layer's generator.

    Attributes:
        generator: Architecture.
        size_px: Height and width of its own images; a composition may resample them.
    """

    generator: AnyGenerator
    size_px: int

    def build(self) -> Generator:
        """Build the generator with new weights.

        Raises:
            UsageError: The architecture cannot make images of this size.
        """
        return networks.build_generator(self.generator, self.size_px)


class LayerCard(_Model):
    """One frozen layer of a composer.

    Attributes:
        role: Images its generator was trained on.
        generator: Its architecture.
        size_px: Height and width of its own images; None: those of the composition.
        sha256_before: Hash of its tensors in the artifact it was taken from.
        sha256_after: Hash of its tensors after the composition was trained; equal if it was frozen.
        card: Training record of the source artifact (data, kimg, seconds).
    """

    role: Role
    generator: AnyGenerator
    size_px: Annotated[int, Field(ge=4, le=4096)] | None = None
    sha256_before: str
    sha256_after: str
    card: dict[str, Any] = {}

    def training_records(self) -> list[dict[str, Any]]:
        """Return the training record of this layer, then those of the generators it was initialized from."""
        return _record_with_parents(self.card)

    def total_spent(self, key: str) -> float:
        """Return the sum of `kimg`, `seconds` or `cpu_seconds` over all training records."""
        return sum(float(record.get(key) or 0.0) for record in self.training_records())

    def generator_spec(self, composed_px: int) -> GeneratorSpec:
        """Return architecture and size of the generator, in a composition of `composed_px`."""
        return GeneratorSpec(self.generator, self.size_px or composed_px)


class CriticNetworkCard(_Model):
    """The frozen network that the critic of a training looked through.

    Attributes:
        name: Of its extractor, which must not judge what the critic taught.
        sha256: Hash of its weights file; the weights themselves are in no artifact.
    """

    name: str
    sha256: str


class Card(_Model):
    """Description of an artifact and of its origin.

    Attributes:
        kind: `generator` and `composer` make images from latents; `inpainter` fills holes; `critic` scores images. A critic is stored next to the
            generator that it was trained with, so that both can be trained further.
        role: Images that it makes.
        size_px: Height and width of the images.
        latent_dims: Latent length by layer. A generator has one entry, under its role; inpainters and critics have none.
        latent_distribution: Distribution of each latent number.
        value_range: Range of image values.
        generator: Architecture of a generator.
        composer: Fusion and translator of a composer.
        inpainter: Architecture of an inpainter.
        critic: Architecture of a critic.
        critic_network: What the critic of the training looked through, if it was a frozen network.
        parent: Training record of the generator whose weights initialized this one.
        layers: Frozen layers of a composer, in the order of their latents.
        whole_sha256: Set if a composer's file leaves out its frozen generators and names them by hash: the hash of all tensors, generators included.
        recipe: Resolved recipe of the run.
        data: Name, count, content hash and licence of the training images.
        kimg: Thousand real images shown to the critic.
        iterations: Generator updates.
        seconds: Wall-clock time of this stage; `cpu_seconds` is summed over threads. All times are stored next to the artifact, in `times.json`.
        metrics: Measured metrics with their protocol.
        licence: Licence of the weights.
        credit: Authors of the training images.
        notes: Remarks for users.
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
    critic_network: CriticNetworkCard | None = None
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
        """Return the training record of this artifact, then those of the generators it was initialized from."""
        own = {key: getattr(self, key) for key in ("data", "kimg", "seconds", "cpu_seconds", "parent")}
        return _record_with_parents({**own, "made_by": self.recipe})

    def critic_networks(self) -> frozenset[str]:
        """Return the frozen networks that critics looked through: of this training, those that it began from, and its layers'."""
        return networks_of_critics(self.recipe, self.parent, self.layers.values())

    def generator_specs(self) -> dict[str, GeneratorSpec]:
        """Return architecture and size of a composer's frozen generators, by layer."""
        return {name: layer.generator_spec(self.size_px) for name, layer in self.layers.items()}

    def back_to_front(self) -> tuple[str, ...]:
        """Return a composer's layers from back to front: the order of its fusion, else the usual order of their names."""
        return networks.back_to_front(None if self.composer is None else self.composer.order, self.layers)


def _record_with_parents(record: Any) -> list[dict[str, Any]]:
    records = []
    while isinstance(record, dict) and record:
        records.append(record)
        record = record.get("parent")
    return records


def networks_of_critics(recipe: Mapping[str, Any], parent: Mapping[str, Any], layers: Iterable[LayerCard]) -> frozenset[str]:
    """Return the frozen networks that the critics of a training and of all trainings before it looked through.

    Args:
        recipe: Of the training, as a dictionary.
        parent: Record of the generator that it began from; empty if it began from none.
        layers: Its frozen layers.
    """
    records = [*_record_with_parents(parent), *(record for layer in layers for record in layer.training_records())]
    return critic_networks([recipe, *(record.get("made_by") for record in records)])


def make_card(network: Network, recipe: Recipe, **fields: Any) -> Card:
    """Make the card of a network trained by a recipe; `fields` are further fields of `Card`."""
    return Card(
        kind=network.kind,
        role=recipe.role,
        size_px=recipe.size_px,
        image_channels=network.image_channels,
        latent_dims=network.latent_dims_for(recipe.role),
        **({"critic": recipe.critic} if network.kind == "critic" else {key: getattr(recipe, key) for key in ("generator", "composer", "inpainter")}),
        critic_network=critic_network_card(recipe.critic),
        recipe=as_dict(recipe),
        **fields,
    )


def critic_network_card(critic: AnyCritic) -> CriticNetworkCard | None:
    """Return which frozen network a critic looks through; None for all other critics."""
    identity = networks.identify_feature_network(critic)
    return None if identity is None else CriticNetworkCard(**identity._asdict())


def read_critic_network(header: Mapping[str, Any]) -> CriticNetworkCard | None:
    """Return what a checkpoint's header says of the frozen network that its critic looked through.

    Raises:
        ArtifactError: It says something else.
    """
    try:
        return CriticNetworkCard.model_validate(header["critic_network"]) if "critic_network" in header else None
    except ValidationError:
        raise ArtifactError("checkpoint: its critic_network is not a name and a hash; the file was edited; start the run again") from None


def check_critic_network(source: str, trained: CriticNetworkCard | None, critic: AnyCritic) -> None:
    """Refuse a critic that was trained over other weights of its frozen network than those that it would get here.

    Args:
        source: Begins the message.
        trained: What a card or checkpoint says of it.
        critic: Its architecture.

    Raises:
        ArtifactError: The weights differ.
    """
    current = critic_network_card(critic)
    if trained != current:
        before, now = ("none" if one is None else f"{one.name} ({one.sha256[:12]})" for one in (trained, current))
        raise ArtifactError(
            f"{source}: its critic looked through another frozen network, {before}, not {now}; go on with the version of mitlgan that trained it, "
            "or start a new training"
        )


def build_network(card: Card, source: str) -> Network:
    """Build the network that a card describes, with new weights.

    Args:
        card: A card with an architecture.
        source: File of the card; it begins error messages.

    Raises:
        ArtifactError: The card has no architecture, one that cannot be built, or other latents or channels than its network.
    """
    try:
        network = _build(card)
    except MitlganError as error:
        raise ArtifactError(f"{source}: its card describes a network that cannot be built ({error})") from None
    if network is None:
        raise ArtifactError(f"{source}: its card is that of a {card.kind} without its architecture")
    same_latents = list(network.latent_dims_for(card.role).items()) == list(card.latent_dims.items())  # in the same order
    if not same_latents or network.image_channels != card.image_channels:
        raise ArtifactError(f"{source}: its card says latent_dims {card.latent_dims} and {card.image_channels} image channels; its network has others")
    return network


def _build(card: Card) -> Network | None:
    if card.kind == "generator" and card.generator is not None:
        return networks.build_generator(card.generator, card.size_px)
    if card.kind == "composer" and card.composer is not None and card.layers:
        return networks.build_composer(card.composer, {name: spec.build() for name, spec in card.generator_specs().items()}, card.size_px)
    if card.kind == "inpainter" and card.inpainter is not None:
        return networks.build_inpainter(card.inpainter, card.size_px)
    if card.kind == "critic" and card.critic is not None:
        check_critic_network("critic_network", card.critic_network, card.critic)
        return networks.build_critic(card.critic, card.size_px)
    return None


def read_card(path: Path) -> Card:
    """Read the card of an artifact or a checkpoint, without its weights, and the times next to it.

    Raises:
        ArtifactError: The file is not an artifact, or its schema is newer than this version's.
    """
    header = read_header(path)
    return _parse_card(path, add_times(header, path, _weights_hash(header)))


def read_weights_hash(path: Path) -> str:
    """Read the hash of an artifact's tensors from its header: equal for equal weights, whatever the file's name or form.

    Raises:
        ArtifactError: The file is not an artifact.
    """
    return _weights_hash(read_header(path))


def _weights_hash(header: Mapping[str, Any]) -> str:
    return str(header.get("whole_sha256") or header.get("tensors_sha256"))


def _checkpoint_card(path: Path, header: Mapping[str, Any]) -> Card:
    """Return the card of the moving average that a checkpoint holds, as its training would write it."""
    try:
        counters = header["counters"]
        recipe, sets = ladder_steps(parse_recipe(header["recipe"], str(path)))[int(counters.get("step", 0))], sets_of_header(header)
        layers = {
            name: LayerCard.model_validate_json(json.dumps({**card, "sha256_after": card["sha256_before"]})) for name, card in header["layers"].items()
        }
        with torch.device("meta"):
            network = _build_of_recipe(recipe, layers)
        return make_card(
            network, recipe, layers=layers, parent=dict(header.get("parent", {})), iterations=int(counters["iteration"]),
            kimg=(counters["images_shown"] - counters["step_images"]) / 1000, licence=recipe.licence or "",
            seconds=float(counters["seconds"]) - float(counters.get("step_seconds", 0.0)),
            cpu_seconds=float(counters["cpu_seconds"]) - float(counters.get("step_cpu_seconds", 0.0)),
            data={"source": recipe.data.source, "count": sets[-1].count, "content_sha256": sets[-1].content_sha256, **sets_record(CARD_KEY, sets)},
            notes=describe_sets(sets),
        )  # fmt: skip
    except (MitlganError, ValidationError, KeyError, TypeError, ValueError, AttributeError, IndexError, AssertionError):
        raise ArtifactError(f"{path}: a checkpoint whose header does not say how it was trained; give another step of its run") from None


def _build_of_recipe(recipe: Recipe, layers: Mapping[str, LayerCard]) -> Network:
    if recipe.generator is not None:
        return networks.build_generator(recipe.generator, recipe.size_px)
    if recipe.inpainter is not None:
        return networks.build_inpainter(recipe.inpainter, recipe.size_px)
    assert recipe.composer is not None
    generators = {name: layer.generator_spec(recipe.size_px).build() for name, layer in layers.items()}
    return networks.build_composer(recipe.composer, generators, recipe.size_px)


def _parse_card(path: Path, header: dict[str, Any]) -> Card:
    if header["schema_version"] > SCHEMA_VERSION:
        raise ArtifactError(f"{path}: its schema_version {header['schema_version']} is newer than {SCHEMA_VERSION}; upgrade mitlgan")
    if header.get("kind") == CHECKPOINT:
        return _checkpoint_card(path, header)
    try:
        card = Card.model_validate_json(json.dumps(header))
        training = str(card.data.get("content_sha256", ""))
        return card.model_copy(update={"metrics": with_correct_splits(card.metrics, training)}) if card.metrics else card
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ArtifactError(f"{path}: its card is not valid: {field}: {first['msg']}".replace("\n", " ")) from None
