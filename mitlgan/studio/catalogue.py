"""The artifacts that a studio offers, by ids of its own, never by paths."""

from __future__ import annotations

import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from mitlgan.artifacts.card import Card, build_network, read_card
from mitlgan.artifacts.composition_choice import composition_rank
from mitlgan.artifacts.known_artifacts import with_shipped
from mitlgan.artifacts.load_save import check_generators_found, network_hash
from mitlgan.artifacts.loaded_artifact import LoadedArtifact, artifact_path, is_artifact_reference, load_artifact
from mitlgan.editing import Directions, directions
from mitlgan.editing.latent_mix import generators_of
from mitlgan.editing.principal_directions import DEFAULT_COUNT, has_affine_input
from mitlgan.errors import ArtifactError, MitlganError
from mitlgan.inpainting.fillers import shipped_artifact
from mitlgan.networks import PLACEMENT_LATENT, Composer
from mitlgan.recipe import display_name_of, shipped_folder
from mitlgan.studio.errors import RequestRefused
from mitlgan.studio.schemas import ArtifactAnswer
from mitlgan.studio.settings import StudioSettings
from mitlgan.training import run_directory

log = logging.getLogger(__name__)

MAX_ARTIFACTS = 200
MAX_LOADED = 4
KINDS = ("generator", "composer")
COMPOSITION_FILE = "composer.safetensors"
FILES = (COMPOSITION_FILE, "generator.safetensors")


@dataclass(frozen=True)
class CatalogueEntry:
    """An artifact that the studio offers.

    Attributes:
        path: Its file.
        card: Its description.
        answer: Its description for the page.
        tensors_sha256: Hash of its tensors, by which pictures name it.
    """

    path: Path
    card: Card
    answer: ArtifactAnswer
    tensors_sha256: str


@dataclass(frozen=True)
class ActiveArtifact:
    """A loaded artifact of the catalogue.

    Attributes:
        id: Its id in the catalogue.
        path: Its file.
        artifact: The loaded artifact.
        direction_counts: Number of principal directions of each latent.
    """

    id: str
    path: Path
    artifact: LoadedArtifact
    direction_counts: dict[str, int]
    _directions: dict[str, Directions] = field(default_factory=dict)

    @cached_property
    def composer(self) -> Composer | None:
        """The network if it is a composition, else None."""
        return self.artifact.composer

    def directions(self, name: str) -> Directions:
        """Return the principal directions of a latent that has some."""
        if name not in self._directions:
            self._directions[name] = directions(self.artifact, layer=name, count=self.direction_counts[name])
        return self._directions[name]


class Catalogue:
    """Artifacts by id.

    An id ends in the hash of the tensors, so that a link to a picture never shows another artifact's, even if a file is replaced.

    Args:
        settings: Where to look for artifacts.
    """

    def __init__(self, settings: StudioSettings) -> None:
        self._settings = settings
        self._named = tuple(artifact_path(path) if is_artifact_reference(path) else with_shipped(path) for path in settings.artifacts)
        self._entries: dict[str, CatalogueEntry] = {}
        self._read: dict[Path, tuple[tuple[int, int], str, CatalogueEntry]] = {}
        self._faults: dict[Path, str] = {}
        self._told: set[Path] = set()
        self._own = threading.local()
        self._lock = threading.Lock()
        self.refresh()
        if settings.artifacts and not self._entries:
            raise ArtifactError(f"{settings.artifacts[0]}: holds no artifact; give a .safetensors file, a finished run, or a folder that holds some")

    def refresh(self) -> list[ArtifactAnswer]:
        """Look for artifacts again, because runs finish, and return the first `MAX_ARTIFACTS`: compositions, then those of runs, the newest first.

        Of the runs' compositions, those whose layers can be moved come first; see `composition_rank`.
        """
        with self._lock:
            entries: dict[str, CatalogueEntry] = {}
            for path in self._files():
                if len(entries) >= MAX_ARTIFACTS and path.name != COMPOSITION_FILE and path not in self._named:
                    continue  # as many come before it, whatever is found after it
                identified = self._identify(path)
                if identified is not None:
                    entries.setdefault(*identified)
            self._entries = dict(sorted(entries.items(), key=lambda item: self._rank(item[1]))[:MAX_ARTIFACTS])
            self._warn_of_faults()
            return [entry.answer for entry in self._entries.values()]

    def _warn_of_faults(self) -> None:
        """Say once, in the terminal, which compositions cannot be read, and which opens."""
        first = next(iter(self._entries.values()), None)
        for path, fault in self._faults.items():
            if path not in self._told:
                log.warning("warning: %s; it is not on offer%s", fault, "" if first is None else f", {first.path} opens")
        self._told |= self._faults.keys()

    def _rank(self, entry: CatalogueEntry) -> tuple[bool, ...]:
        """Return what artifacts are ordered by, before the order in which they are found, which is the user's own where the user names them."""
        is_generator, is_shipped = entry.card.kind != "composer", not entry.answer.own
        return (is_generator,) if self._settings.artifacts else (is_generator, is_shipped, not is_shipped and composition_rank(entry.answer.movable))

    def entry(self, artifact_id: str) -> CatalogueEntry:
        """Return the entry of an id.

        Raises:
            RequestRefused: 404, there is none.
        """
        entry = self._entries.get(artifact_id)
        if entry is None:
            raise RequestRefused(404, "artifact: none has this id; choose one from /api/artifacts")
        return entry

    def id_of(self, path: Path | None) -> str | None:
        """Return the id of a file that was on offer when the artifacts were last listed."""
        return next((artifact_id for artifact_id, entry in self._entries.items() if entry.path == path), None)

    def id_of_tensors(self, tensors_sha256: str) -> str:
        """Return the id of the artifact with these tensors.

        Raises:
            RequestRefused: 422, none on offer has them.
        """
        for artifact_id, entry in self._entries.items():
            if entry.tensors_sha256 == tensors_sha256:
                return artifact_id
        raise RequestRefused(422, "picture: was made by an artifact that is not on offer here; start the studio with it, and drop the picture again")

    def load(self, artifact_id: str) -> ActiveArtifact:
        """Load the artifact of an id. Call it in the worker only.

        Each thread keeps its own last few in memory, because networks hold state while they work.

        Raises:
            RequestRefused: 404, there is none.
            ArtifactError: Its file can no longer be read.
        """
        entry = self.entry(artifact_id)
        if not hasattr(self._own, "loaded"):
            self._own.loaded = OrderedDict[str, ActiveArtifact]()
        own: OrderedDict[str, ActiveArtifact] = self._own.loaded
        if artifact_id not in own:
            while len(own) >= MAX_LOADED:
                own.popitem(last=False)
            own[artifact_id] = ActiveArtifact(artifact_id, entry.path, load_artifact(entry.path, self._settings.device), entry.answer.directions or {})
        own.move_to_end(artifact_id)
        return own[artifact_id]

    def _files(self) -> Iterator[Path]:
        if not self._settings.artifacts:
            yield from (run.artifact_file for run in reversed(run_directory.list_runs(self._settings.runs)) if run.artifact_file is not None)
            for name in FILES:
                yield from sorted(shipped_folder("pretrained").glob(f"*/{name}"))
        for path in self._named:
            if path.is_file():
                yield path
            elif not path.is_dir():
                raise ArtifactError(f"{path}: no such artifact; `mitlgan runs ls` lists those of this folder")
            else:
                for name in FILES:
                    yield from (file for file in sorted(path.rglob(name)) if "kept" not in file.parts)

    def _identify(self, path: Path) -> tuple[str, CatalogueEntry] | None:
        """Return id and entry of a file; None if it cannot be used."""
        try:
            status = path.stat()
            stamp = status.st_mtime_ns, status.st_size
            if path not in self._read or self._read[path][0] != stamp:
                self._read[path] = (stamp, *_describe(path))
        except (OSError, MitlganError) as error:
            if path in self._named:
                raise
            if path.name == COMPOSITION_FILE:  # another makes pictures in its place
                self._faults.setdefault(path, str(error))
            return None
        return self._read[path][1:]


def _describe(path: Path) -> tuple[str, CatalogueEntry]:
    card = read_card(path)
    if card.kind not in KINDS:
        raise ArtifactError(f"{path}: makes no pictures of its own; give a generator or a composition")
    if card.whole_sha256 is not None:
        check_generators_found(path, card)
    name = _display_name(path, card)
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or card.role
    weights_hash = network_hash(path)
    artifact_id = f"{slug}-{weights_hash[:8]}"
    with torch.device("meta"):
        network = build_network(card, str(path))
    composer = network if isinstance(network, Composer) else None
    has_matte = bool(network.movable_layers)
    transparent = [card.role] if card.image_channels == 4 else list(network.movable_layers)
    counts = {
        latent: min(DEFAULT_COUNT, generator.latent_dim)
        for latent, generator in generators_of(LoadedArtifact(network, card, "meta")).items()
        if has_affine_input(generator)
    }
    answer = ArtifactAnswer(
        id=artifact_id,
        name=name,
        own=not path.resolve().is_relative_to(shipped_folder("pretrained").resolve()),
        kind=card.kind,
        role=card.role,
        size_px=card.size_px,
        channels=card.image_channels,
        latents=card.latent_dims,
        layers=[card.role] if composer is None else list(card.back_to_front()),
        movable=list(network.movable_layers),
        transparent=transparent,
        front=None if composer is None else composer.frontmost_layer,
        has_matte=has_matte,
        has_place=PLACEMENT_LATENT in card.latent_dims,
        harmonises=network.can_scale_harmonization,
        fills=["embed", *(["context"] if shipped_artifact("context").is_dir() else [])],
        directions=counts or None,
        card=_card_summary(card),
    )
    return artifact_id, CatalogueEntry(path, card, answer, weights_hash)


def _display_name(path: Path, card: Card) -> str:
    """Return the name of an artifact's folder or file; of a step of a run, `RUN@STEP`."""
    folder = path.parent
    run = folder.parent if folder.name == "checkpoints" else folder.parent.parent if folder.parent.name == "kept" else None
    if run is not None:
        return f"{run.name}@{card.iterations}"
    return folder.name if path.name in FILES else path.stem


def _card_summary(card: Card) -> dict[str, Any]:
    fields = {"kimg": round(card.kimg, 3), "licence": card.licence, "credit": card.credit, "notes": card.notes, "made_by": card.made_by}
    return {**fields, "pictures": card.data.get("count"), "recipe": display_name_of(card.recipe)}
