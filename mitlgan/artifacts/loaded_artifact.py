"""From seeds to pictures: artifacts in use, grids and files."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from mitlgan.artifacts.card import Card
from mitlgan.artifacts.load_save import load_network, network_tensors
from mitlgan.artifacts.safetensors_io import tensors_sha256
from mitlgan.errors import ArtifactError, UsageError
from mitlgan.images.alpha import on_checkerboard, to_opaque_rgb, unpremultiply
from mitlgan.images.encode import encode_image, encode_png
from mitlgan.images.pixels import to_uint8
from mitlgan.latents import latents_from_seeds
from mitlgan.networks import PLACEMENT_LATENT, Composer, CompositionStages, EffectStrengths, LayerTransform
from mitlgan.networks.placement import MIN_SCALE
from mitlgan.runtime.files import disk_errors, ensure_folder, sibling_path, write_atomically

BATCH = 64
MAX_SCALE = 4.0
TITLES = {"fg": "Foreground", "bg": "Background", "scene": "Scene"}
TITLE_PX, GAP_PX = 30, 18
Seeds = Sequence[int] | Mapping[str, Sequence[int]]
TransformSpec = tuple[float, float, float] | tuple[float, float, float, bool]
"""Scale (1 is the layer's own size), across and down (of its centre, -1 to 1), and whether it is mirrored."""
LayerTransforms = Mapping[str, TransformSpec | LayerTransform]


class LoadedArtifact:
    """A loaded generator or composer.

    Attributes:
        card: What it is and where it came from.
        network: The module, in eval mode and without gradients.
        device: Where it computes.
    """

    def __init__(self, network: nn.Module, card: Card, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self.network = network.to(self.device)
        self.card = card

    def latents(self, seeds: Seeds) -> Tensor:
        """Latents (N, sum of the layers' lengths) of seeds; see `mitlgan.latents.latents`.

        Where seeds are given by layer and none for the placement, the frontmost layer's place it, so that an object keeps its place.
        """
        if (
            isinstance(seeds, Mapping)
            and isinstance(self.network, Composer)
            and PLACEMENT_LATENT in self.card.latent_dims
            and PLACEMENT_LATENT not in seeds
        ):
            seeds = {**seeds, PLACEMENT_LATENT: seeds.get(self.network.frontmost_layer, ())}
        return latents_from_seeds(seeds, self.card.latent_dims)

    def sample(self, seeds: Seeds, stands: LayerTransforms | None = None) -> Tensor:
        """Images of seeds.

        Args:
            seeds: One per image; for a composer also by layer, such as `{"fg": [1, 1], "bg": [1, 2]}`.
            stands: See `layers`.

        Returns:
            (N, C, H, W), float32 in [-1, 1], on the CPU. The same seed gives the same image, whatever else is in the batch, up to rounding.
        """
        return self.images_from_latents(self.latents(seeds), stands)

    def layers(self, seeds: Seeds, stands: LayerTransforms | None = None) -> CompositionStages:
        """Every stage of the images of seeds; a generator has one layer, itself.

        Args:
            seeds: As `sample` takes them.
            stands: Where layers stand, in place of where their latents put them: for all images alike, such as `{"fg": (0.5, -0.2, 0.3)}`, or a `Stand`
                of one number per image each.

        Returns:
            `Layers` of tensors in [-1, 1] (mattes in [0, 1]) on the CPU.

        Raises:
            UsageError: Seeds or stands that the composition cannot take.
        """
        return self.layers_from_latents(self.latents(seeds), stands)

    @cached_property
    def tensors_sha256(self) -> str:
        """Hash of the network's tensors, as the artifact's file has it: what latents were made for."""
        return tensors_sha256(network_tensors(self.network))

    def images_from_latents(self, z: Tensor, stands: LayerTransforms | None = None) -> Tensor:
        """Images of latents (N, sum of the layers' lengths); see `sample`."""
        return torch.cat([layers.output for layers in self._batches(z, stands)])

    def layers_from_latents(self, z: Tensor, stands: LayerTransforms | None = None, strengths: EffectStrengths | None = None) -> CompositionStages:
        """Every stage of the images of latents.

        Args:
            z: (N, sum of the layers' lengths).
            stands: See `layers`.
            strengths: How much of its matte and of its harmonising a composition uses, one number per image each; None: all.

        Raises:
            UsageError: Stands or strengths that the composition cannot take.
        """
        parts = list(self._batches(z, stands, strengths))
        mattes = [part.matte for part in parts if part.matte is not None]
        return CompositionStages(
            layers={name: torch.cat([part.layers[name] for part in parts]) for name in parts[0].layers},
            fused=torch.cat([part.fused for part in parts]),
            matte=torch.cat(mattes) if mattes else None,
            output=torch.cat([part.output for part in parts]),
            placed={name: torch.cat([part.placed[name] for part in parts]) for name in parts[0].placed},
            transforms={name: _cat_transforms([part.transforms[name] for part in parts]) for name in parts[0].transforms},
        )

    def lock_seeds(self, seeds: Sequence[int], locks: Mapping[str, int]) -> Seeds:
        """Seeds by layer of which some stay the same in all images, while the other layers follow `seeds`.

        Args:
            seeds: One per image.
            locks: The seed of each layer that is held, or of the placement ("place"), which otherwise goes with the frontmost layer.

        Raises:
            UsageError: There is no such layer.
        """
        if not locks:
            return seeds
        for name, seed in locks.items():
            if name not in self.card.latent_dims or self.card.kind != "composer":
                names = ", ".join(self.card.latent_dims) if self.card.kind == "composer" else "none, being a generator; give a composition"
                raise UsageError(f"--lock {name}={seed}: no such layer; this artifact has {names}")
        free = [name for name in self.card.latent_dims if name != PLACEMENT_LATENT or PLACEMENT_LATENT in locks]
        return {name: [locks[name]] * len(seeds) if name in locks else seeds for name in free}

    def check_movable(self, name: str, option: str) -> None:
        """Refuse to move a layer that has no matte, or is none.

        Args:
            name: Of the layer.
            option: Begins the message.

        Raises:
            UsageError: One line.
        """
        movable = self.network.movable_layers if isinstance(self.network, Composer) else ()
        if not movable:
            raise UsageError(f"{option}: nothing can be moved in this artifact; only compositions by mattes can (alpha, matte, matte-features, over)")
        if name not in movable:
            raise UsageError(f"{option}: {name} cannot be moved; give one of {', '.join(movable)}")

    @torch.inference_mode()
    def _batches(self, z: Tensor, stands: LayerTransforms | None, strengths: EffectStrengths | None = None) -> Iterator[CompositionStages]:
        if len(z) == 0:
            raise UsageError("seeds: none given; give at least one")
        self._check_strengths(strengths, len(z))
        given = {name: self._transform(name, place, len(z)) for name, place in (stands or {}).items()}
        for start in range(0, len(z), BATCH):
            chosen = slice(start, start + BATCH)
            part = {name: LayerTransform(*(number[chosen].to(self.device) for number in stand)) for name, stand in given.items()}
            weaker = None if strengths is None else EffectStrengths(*(number[chosen].to(self.device) for number in strengths))
            yield run_network(self.network, z[chosen].to(self.device), self.card.role, part, weaker)

    def _check_strengths(self, strengths: EffectStrengths | None, count: int) -> None:
        if strengths is None:
            return
        network = self.network if isinstance(self.network, Composer) else None
        has = {"matte": network is not None and bool(network.movable_layers), "harmonise": network is not None and network.can_scale_harmonization}
        for name, numbers in strengths._asdict().items():
            if numbers.shape != (count,) or not bool(((numbers >= 0) & (numbers <= 1)).all()):
                raise UsageError(f"strengths: those of {name} must lie between 0 and 1, one per image ({count})")
            if not has[name] and not bool((numbers == 1).all()):
                raise UsageError(f"strengths: this artifact has nothing to weaken by {name}; leave it at 1")

    def _transform(self, name: str, given: TransformSpec | LayerTransform, count: int) -> LayerTransform:
        self.check_movable(name, "stands")
        if not isinstance(given, LayerTransform):
            scale, across, down, *flip = given
            numbers = (float(scale), float(across), float(down), -1.0 if flip and flip[0] else 1.0)
            given = LayerTransform(*(torch.full((count,), number) for number in numbers))
        if any(number.shape != (count,) or not bool(torch.isfinite(number).all()) for number in given):
            raise UsageError(f"stands: those of {name} must be finite numbers, one per image ({count}) each")
        if not bool(((given.scale >= MIN_SCALE) & (given.scale <= MAX_SCALE)).all()):
            raise UsageError(f"stands: the scale of {name} must lie between {MIN_SCALE:g} and {MAX_SCALE:g}")
        return given


def _cat_transforms(stands: Sequence[LayerTransform]) -> LayerTransform:
    return LayerTransform(*(torch.cat(numbers) for numbers in zip(*stands, strict=True)))


def run_network(
    network: nn.Module, z: Tensor, role: str, stands: Mapping[str, LayerTransform] | None = None, strengths: EffectStrengths | None = None
) -> CompositionStages:  # fmt: skip
    """Every stage of a network's images, clamped to [-1, 1], on the CPU."""
    if isinstance(network, Composer):
        stages = network.layers(z, stands, strengths)
        return CompositionStages(
            layers={name: _clamped(image) for name, image in stages.layers.items()},
            fused=_clamped(stages.fused),
            matte=None if stages.matte is None else stages.matte.float().cpu(),
            output=_clamped(stages.output),
            placed={name: _clamped(image) for name, image in stages.placed.items()},
            transforms={name: LayerTransform(*(number.float().cpu() for number in stand)) for name, stand in stages.transforms.items()},
        )
    image = _clamped(network(z))
    return CompositionStages(layers={role: image}, fused=image, matte=None, output=image)


def load_artifact(path: str | Path, device: str = "cpu") -> LoadedArtifact:
    """Load an artifact from its file, or from a run directory that holds one.

    Raises:
        ArtifactError: There is none, it is damaged, or it makes no pictures of latents.
    """
    network, card = load_network(artifact_path(Path(path)))
    if card.kind == "inpainter":
        raise ArtifactError(f"{path}: is an inpainter, which makes no pictures of its own; `mitlgan inpaint IMAGE --artifact {path}` uses it")
    if card.kind == "critic":
        raise ArtifactError(f"{path}: is a critic, which makes no pictures; `mitlgan pretrain --critic {path}` begins with it")
    return LoadedArtifact(network, card, device=device)


def artifact_path(path: Path) -> Path:
    """The artifact that a path names: the file itself, or the one in a run directory.

    Raises:
        ArtifactError: There is none.
    """
    if path.is_dir():
        for name in ("composer", "generator", "inpainter"):
            if (path / f"{name}.safetensors").is_file():
                return path / f"{name}.safetensors"
        raise ArtifactError(f"{path}: holds no artifact yet; finish the run with `mitlgan resume {path}`")
    if not path.is_file():
        raise ArtifactError(f"{path}: no such artifact; `mitlgan runs ls` lists those of this folder")
    return path


def grid_png(images: Tensor, columns: int = 8, scale: int = 1) -> bytes:
    """A grid of images as PNG bytes.

    Args:
        images: (N, C, H, W) in [-1, 1], or uint8; one, three or four channels, the latter premultiplied: they are shown on a checkerboard.
        columns: Images in a row.
        scale: Whole factor by which each pixel is enlarged.
    """
    pixels = images if images.dtype == torch.uint8 else to_uint8(images)
    if pixels.shape[1] == 4:
        pixels = on_checkerboard(pixels.cpu())
    if scale > 1:
        pixels = pixels.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    from torchvision.utils import make_grid  # whose package brings every model of torchvision along: two seconds

    grid = make_grid(pixels.cpu(), nrow=columns, padding=2 * scale, pad_value=255)  # (C, H', W')
    return encode_png(grid)


@dataclass(frozen=True)
class SampleFiles:
    """Where samples were written.

    Attributes:
        pictures: One file per image: all that is in their folder.
        overview: A grid of all, beside the folder.
        stages: Folders of what a composition is made of, by its name, such as `fg` and `fused`; beside, too, with files of the same names.
    """

    pictures: list[Path]
    overview: Path
    stages: dict[str, Path]


def write_sample_files(stages: CompositionStages, names: Sequence[str], out: Path, *, every_layer: bool = False) -> SampleFiles:
    """Write one PNG per name into a folder of nothing else, a grid of all beside it, and on request every layer of a composition.

    What has a matte has straight alpha.

    Args:
        stages: As `Artifact.layers` gives them.
        names: Of the files, one per image.
        out: Folder `OUT`; the grid is `OUT-grid.png`, layers are in `OUT-layers/NAME/`.
        every_layer: Also each layer, the fused image, the mattes, and each layer before the backmost where it stands.

    Raises:
        ResourceError: A folder cannot be written.
    """
    files = SampleFiles([out / f"{name}.png" for name in names], sibling_path(out, "-grid.png"), {})
    ensure_folder(out)
    with disk_errors(out):
        write_atomically(files.overview, grid_png(stages.output, columns=max(1, round(len(names) ** 0.5))))
        _write_each(stages.output, files.pictures)
        if every_layer and len(stages.layers) > 1:
            for stage, images in _every_stage(stages).items():
                files.stages[stage] = sibling_path(out, "-layers") / stage
                ensure_folder(files.stages[stage])
                _write_each(images, [files.stages[stage] / f"{name}.png" for name in names])
    return files


def _write_each(images: Tensor, files: Sequence[Path]) -> None:
    for file, pixels in zip(files, unpremultiply(to_uint8(images)), strict=True):
        write_atomically(file, encode_png(pixels))


def _every_stage(stages: CompositionStages) -> dict[str, Tensor]:
    """Images in [-1, 1] by the name of their folder."""
    pictures = dict(stages.layers)
    pictures["fused"] = stages.fused
    if stages.matte is not None:
        pictures["matte"] = stages.matte * 2 - 1
    if len(stages.placed) > 1:  # one layer's matte is that of all
        pictures |= {f"{name}-matte": image[:, 3:] for name, image in stages.placed.items()}
    return pictures | {f"{name}-placed": image for name, image in stages.placed.items()}


def stages_sheet_png(stages: CompositionStages, scale: int = 3, columns: int = 4) -> bytes:
    """Every stage side by side, each a titled grid of the same seeds.

    Args:
        stages: As `Artifact.layers` gives them; what has a matte is laid on white, and the fused image is left out where no translator follows it.
        scale: Whole factor by which each pixel is enlarged.
        columns: Images in a row of each grid.
    """
    shown = {TITLES.get(name, name.capitalize()): image for name, image in stages.layers.items()}
    if len(stages.layers) > 1:
        mattes = {} if stages.matte is None else {"Matte": (stages.matte * 2 - 1).expand(-1, 3, -1, -1)}
        fused = {} if torch.equal(stages.fused, stages.output) else {"Fused": stages.fused}
        shown |= {**mattes, **fused, "Composed": stages.output}
    grids = {title: Image.open(io.BytesIO(grid_png(to_opaque_rgb(image), columns, scale))) for title, image in shown.items()}
    height = max(grid.height for grid in grids.values())
    sheet = Image.new("RGB", (sum(grid.width for grid in grids.values()) + GAP_PX * (len(grids) - 1), height + TITLE_PX), "white")
    draw, left = ImageDraw.Draw(sheet), 0
    for title, grid in grids.items():
        draw.text((left + 2 * scale, 4), title, fill=(40, 40, 40), font=ImageFont.load_default(TITLE_PX - 12))
        sheet.paste(grid, (left, TITLE_PX))
        left += grid.width + GAP_PX
    return encode_image(sheet, optimize=True)


def _clamped(images: Tensor) -> Tensor:
    return images.float().clamp(-1, 1).cpu()
