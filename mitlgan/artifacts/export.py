"""Export: ONNX, torch.export, a sheet, a card, a composition without its generators, a folder for the Hub, and a picture in layers.

Exported networks are checked before anything is written: their outputs must equal those of torch to 1e-4.
"""

from __future__ import annotations

import io
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from mitlgan.artifacts.card import KIND_WITH_ARTICLE
from mitlgan.artifacts.hub_folder import write_hub_folder
from mitlgan.artifacts.layered_files import LAYERED_FORMATS, check_layered_format, encode_layered, layered_picture
from mitlgan.artifacts.load_save import CARD_FILE, check_generators_found, save_network
from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.artifacts.markdown_card import markdown_card
from mitlgan.artifacts.network_stages import run_network
from mitlgan.artifacts.published_card import published_card, with_licence
from mitlgan.artifacts.sample_files import stages_sheet_png
from mitlgan.artifacts.samples import sample_like, samples_of_seeds
from mitlgan.artifacts.times import TIMES_FILE, split_times
from mitlgan.errors import ArtifactError, MitlganError, UsageError, raise_resource_fault
from mitlgan.images.resize import OWN_SIZE, PictureSize
from mitlgan.latents import latents_from_seeds
from mitlgan.networks import CompositionStages
from mitlgan.recipe import as_dict
from mitlgan.runtime.arguments import require_whole
from mitlgan.runtime.claimed_names import refuse_existing, require_suffix
from mitlgan.runtime.files import write_atomically
from mitlgan.runtime.json_files import read_json
from mitlgan.runtime.unfinished_outputs import remove_if_failed

MAX_DIFFERENCE = 1e-4
CHECKED_BATCH_SIZES = (1, 2, 5)
OPSET = 20
SHEET_SEEDS = 16
RunBatch = Callable[[Sequence[Tensor]], Sequence[Tensor]]


class ExportableNetwork(nn.Module):
    """An artifact's network with one latent per layer as inputs and every stage as outputs, as in `LoadedArtifact.layers`.

    Args:
        artifact: Generator or composer.

    Attributes:
        inputs: `latent_<layer>` for each layer, (N, dim), standard normal.
        outputs: `output`, and for a composer `layer_<name>`, `placed_<name>`, `stand_<name>` (scale, x, y, flip), `fused` and `matte` if it has them;
            see `mitlgan.networks.CompositionStages`. Images are (N, C, H, W) in [-1, 1].
    """

    def __init__(self, artifact: LoadedArtifact) -> None:
        super().__init__()
        self.network = artifact.network
        self.role = artifact.card.role
        self.inputs = [f"latent_{name}" for name in artifact.card.latent_dims]
        with torch.inference_mode():
            probe = _stages_by_name(run_network(artifact.network, artifact.latents([0, 1]), self.role))
        # Without a translator the fused image is the output. Under two names, torch's ONNX optimizer would split it.
        self.outputs = [name for name, image in probe.items() if name != "fused" or not torch.equal(image, probe["output"])]

    def forward(self, *z: Tensor) -> tuple[Tensor, ...]:
        """Return the stages in the order of `outputs`."""
        images = _stages_by_name(run_network(self.network, torch.cat(z, dim=1), self.role))
        return tuple(images[name] for name in self.outputs)


def _stages_by_name(stages: CompositionStages) -> dict[str, Tensor]:
    images = {"output": stages.output}
    if stages.output is stages.fused:  # a generator has no other stage
        return images
    images |= {f"layer_{name}": image for name, image in stages.layers.items()}
    images |= {f"placed_{name}": image for name, image in stages.placed.items()}
    images |= {f"stand_{name}": torch.stack(stand, dim=1) for name, stand in stages.transforms.items()}
    images["fused"] = stages.fused
    return images if stages.matte is None else {**images, "matte": stages.matte}


def export_artifact(
    artifact: LoadedArtifact,
    to: str,
    out: str | Path,
    *,
    seed: int = 0,
    like: str | Path | None = None,
    size: PictureSize = OWN_SIZE,
    has_metadata: bool = True,
    licence: str | None = None,
) -> Path:
    """Write an artifact, or one of its pictures in layers, in another format.

    Args:
        artifact: An artifact on the CPU.
        to: `onnx`, `torch-export`, `png-sheet`, `card`, or `slim`: a composer that names its frozen generators by hash instead of holding them;
            where they are looked for, see `mitlgan.artifacts.load_save.load_network`. `hub-folder`: a folder that can be uploaded to the Hugging Face
            Hub as it is. `ora`, `psd`: one picture in layers, see `mitlgan.artifacts.layered_files`.
        out: File or folder to write; it must not exist.
        seed: Seed of the picture in layers, at least 0.
        like: A picture of this artifact to write in layers instead; see `mitlgan.artifacts.samples.sample_like`.
        size: Size of the picture in layers; by default its own, or that of `like`.
        has_metadata: Whether the merged image of an OpenRaster says how it was made; see `mitlgan.artifacts.picture_record`.
        licence: Licence of an artifact that has none yet, for `card` and `hub-folder`.

    Returns:
        The written file or folder.

    Raises:
        UsageError: There is no such format, the target exists, a required package is missing, or an argument is out of range or not of the format.
        ArtifactError: The exported network gives other outputs than torch, or generators that are left out cannot be found.
        ResourceError: The file cannot be written.

    Example:
        >>> import mitlgan
        >>> mitlgan.export(mitlgan.load("pretrained/modern-32"), "png-sheet", "stages.png")
        PosixPath('stages.png')
    """
    require_whole("--seed", seed, 0)
    if to not in EXPORT_SUFFIXES:
        raise UsageError(f"to: there is no {to!r}; choose one of {', '.join(EXPORT_SUFFIXES)}")
    if artifact.device.type != "cpu":
        raise UsageError(f"device {artifact.device}: load the artifact on the CPU to export it")
    path = Path(out)
    refuse_existing(path, "--out")
    if to not in LAYERED_FORMATS and (seed != 0 or like is not None or size != OWN_SIZE or not has_metadata):
        raise UsageError(f"to: seed, like, size and metadata are of a picture in layers, {' or '.join(LAYERED_FORMATS)}; leave them out for {to}")
    if licence is not None:
        artifact = _licensed(artifact, to, licence)
    if to == "slim":
        return _slim(artifact, path)
    if to == "hub-folder":
        return write_hub_folder(artifact, path)
    if EXPORT_SUFFIXES[to] in PICTURE_SUFFIXES:
        require_suffix(path, EXPORT_SUFFIXES[to], "--out")
    write_atomically(path, _layered(artifact, to, seed, like, size, has_metadata) if to in LAYERED_FORMATS else TARGETS[to](artifact), is_new=True)
    return path


def _layered(artifact: LoadedArtifact, to: str, seed: int, like: str | Path | None, size: PictureSize, has_metadata: bool) -> bytes:
    check_layered_format(to, "--to")
    samples = samples_of_seeds(artifact, [seed]) if like is None else sample_like(artifact, like)
    size = samples.records[0].size if like is not None and size == OWN_SIZE else size
    text = samples.texts(size, artifact.card.size_px)[0] if has_metadata else None
    return encode_layered(layered_picture(artifact, samples.stages, size), to, text)


def _licensed(artifact: LoadedArtifact, to: str, licence: str) -> LoadedArtifact:
    if to not in LICENSED:
        raise UsageError(f"--licence: goes with --to {' or '.join(LICENSED)}; leave it out")
    return LoadedArtifact(artifact.network, with_licence(artifact.card, licence))


def _onnx(artifact: LoadedArtifact) -> bytes:
    try:
        import onnxruntime  # type: ignore[import-untyped, unused-ignore]
        import onnxscript  # noqa: F401  (torch's exporter works by it)
    except ImportError as error:
        raise UsageError(f"--to: onnx needs {error.name}; `pip install 'mitlgan[export]'`") from None
    network = ExportableNetwork(artifact).eval()
    with _exporting("onnx"):
        program = _program(network, artifact)
        exported: Any = torch.onnx.export(
            program, input_names=network.inputs, output_names=network.outputs, opset_version=OPSET, dynamo=True, verbose=False
        )
    model = exported.model_proto
    model.producer_name = "mitlgan"
    for key, value in {"card": _card_json(artifact), "tensors_sha256": artifact.tensors_sha256}.items():
        model.metadata_props.add(key=key, value=value)
    content = cast(bytes, model.SerializeToString())
    with _exporting("onnx"):
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def call(z: Sequence[Tensor]) -> list[Tensor]:
        inputs = {name: part.numpy() for name, part in zip(network.inputs, z, strict=True)}
        return [torch.from_numpy(part) for part in session.run(network.outputs, inputs)]

    _check(network, artifact, call, "onnx")
    return content


def _torch_export(artifact: LoadedArtifact) -> bytes:
    network = ExportableNetwork(artifact).eval()
    buffer = io.BytesIO()
    extra_files = {"card.json": _card_json(artifact), "outputs.json": json.dumps(network.outputs)}
    with _exporting("torch-export"):
        torch.export.save(_program(network, artifact), buffer, extra_files=extra_files)
        buffer.seek(0)
        loaded = torch.export.load(buffer).module()  # load the file again, so that it is the file that is checked
    _check(network, artifact, lambda z: loaded(*z), "torch-export")
    return buffer.getvalue()


def _program(network: ExportableNetwork, artifact: LoadedArtifact) -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch", min=1, max=65536)
    z = _latents(artifact, 2)
    return torch.export.export(network, tuple(z), dynamic_shapes=(tuple({0: batch} for _ in z),))


def _latents(artifact: LoadedArtifact, count: int) -> list[Tensor]:
    return [latents_from_seeds(range(count), {name: dim}) for name, dim in artifact.card.latent_dims.items()]


@torch.inference_mode()
def _check(network: ExportableNetwork, artifact: LoadedArtifact, call: RunBatch, to: str) -> None:
    """Compare every output with torch's at several batch sizes.

    Raises:
        ArtifactError: An output differs by more than `MAX_DIFFERENCE`.
    """
    for count in CHECKED_BATCH_SIZES:
        z = _latents(artifact, count)
        for name, exported, expected in zip(network.outputs, call(z), network(*z), strict=True):
            gap = float((exported - expected).abs().max()) if exported.shape == expected.shape else float("inf")
            if not gap <= MAX_DIFFERENCE:
                raise ArtifactError(
                    f"to {to}: its {name} for {count} latents is {gap:.2g} from torch's, more than {MAX_DIFFERENCE:g}; nothing was written"
                )


@contextmanager
def _exporting(to: str) -> Iterator[None]:
    """Run an exporter without gradients and without its log messages; turn any error into one line.

    Raises:
        ArtifactError: The exporter failed.
    """
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:  # exporters raise all kinds of errors
        raise_resource_fault(error, f"to {to}")
        reason = (str(error).splitlines() or [""])[0][:300]
        raise ArtifactError(f"to {to}: the exporter cannot take this network ({type(error).__name__}: {reason}); nothing was written") from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _slim(artifact: LoadedArtifact, path: Path) -> Path:
    if artifact.card.kind != "composer":
        raise UsageError(f"to: slim is for compositions; {KIND_WITH_ARTICLE[artifact.card.kind]} has no frozen generators to leave out")
    check_generators_found(path, artifact.card)
    companions = slim_companions(path)
    for file in companions:
        if os.path.lexists(file) and not _is_of(file, artifact):
            raise UsageError(f"--out {path}: {file.name} next to it is of something else and would be overwritten; name a file in a folder of its own")
    with remove_if_failed(path, *companions):
        save_network(path, artifact.network, artifact.card, without_generators=True, is_new=True)
    return path


def slim_companions(path: Path) -> list[Path]:
    """Return the files that a composition without its generators has next to it."""
    return [path.with_name(CARD_FILE), path.with_name(TIMES_FILE)]


def _is_of(file: Path, artifact: LoadedArtifact) -> bool:
    """Return whether a card or a file of times is of an artifact's tensors."""
    try:
        return bool(read_json(file).get("tensors_sha256") == artifact.tensors_sha256)
    except (MitlganError, RecursionError):
        return False


def _png_sheet(artifact: LoadedArtifact) -> bytes:
    return stages_sheet_png(artifact.layers(range(SHEET_SEEDS)))


def _card_json(artifact: LoadedArtifact) -> str:
    """Return the card for others, without times, so that equal networks make equal files."""
    return json.dumps(split_times(as_dict(published_card(artifact.card)))[0])


def _card(artifact: LoadedArtifact) -> bytes:
    return markdown_card(artifact).encode()


TARGETS: dict[str, Callable[[LoadedArtifact], bytes]] = {"onnx": _onnx, "torch-export": _torch_export, "png-sheet": _png_sheet, "card": _card}
LICENSED = ("hub-folder", "card")
"""What says which licence an artifact has, for people."""
PICTURE_SUFFIXES = (".png", ".ora", ".psd")
"""Suffixes by which other programs tell how to open a file."""
EXPORT_SUFFIXES = {
    "onnx": ".onnx",
    "torch-export": ".pt2",
    "png-sheet": ".png",
    "card": ".md",
    "slim": ".safetensors",
    "ora": ".ora",
    "psd": ".psd",
    "hub-folder": "-hub",
}
