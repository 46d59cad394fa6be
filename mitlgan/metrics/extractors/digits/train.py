"""Trains the digit classifier: `python -m mitlgan.metrics.extractors.digits.train IMAGES LABELS OUT_DIR`.

IMAGES and LABELS are MNIST's IDX files, gzip or not. It writes `weights.safetensors` and `CARD.md` with the accuracy on held-out digits, and prints the
hash that `network.py` must name. The same files, machine and torch make the same bytes.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mitlgan.artifacts.safetensors_io import write_tensors
from mitlgan.data.readers.common import sha256
from mitlgan.data.readers.idx import IMAGES, LABELS, read_idx
from mitlgan.errors import DataError, MitlganError
from mitlgan.metrics.extractors.digits.network import CLASSES, DIGIT_PX, FEATURE_DIM, WEIGHTS, classify, digit_classifier
from mitlgan.metrics.frechet import frechet_from_features
from mitlgan.metrics.kid import kernel_distance
from mitlgan.runtime.files import ensure_folder, write_atomically
from mitlgan.runtime.randomness import derived_seed, random_generator

COMMAND = "python -m mitlgan.metrics.extractors.digits.train"
CREDIT = "MNIST, Yann LeCun and Corinna Cortes, http://yann.lecun.com/exdb/mnist/"
LICENCE = "CC BY-SA 3.0"
MAX_SHIFT_PX = 2


@dataclass(frozen=True)
class ClassifierSettings:
    """How the classifier is trained.

    Attributes:
        epochs: Times that each digit is shown.
        batch: Digits of one update.
        learning_rate: Of Adam at the start; it falls to 0 along a half cosine.
        holdout: Digits that are held out, to measure the accuracy.
        seed: Decides the weights at the start, the held-out digits, their order and the shifts.
    """

    epochs: int = 12
    batch: int = 100
    learning_rate: float = 3e-3
    holdout: int = 1000
    seed: int = 0


class Digits(NamedTuple):
    """Digits: uint8 (N, 1, 28, 28), and what they show, int64 (N,)."""

    images: Tensor
    labels: Tensor


def read_digits(images: Path, labels: Path) -> Digits:
    """Read MNIST's files.

    Raises:
        DataError: They are no IDX files, do not belong together, or do not hold digits of 28 px.
    """
    pixels, names = read_idx(images, IMAGES), read_idx(labels, LABELS)
    if pixels.shape[1:] != (DIGIT_PX, DIGIT_PX):
        raise DataError(f"{images}: holds pictures of {pixels.shape[2]} x {pixels.shape[1]} px, not of {DIGIT_PX} px; give MNIST's")
    if len(names) != len(pixels) or int(names.max()) >= CLASSES:
        raise DataError(f"{labels}: has {len(names)} labels up to {names.max()} for {len(pixels)} digits; give the file that belongs to them")
    return Digits(torch.from_numpy(pixels.copy())[:, None], torch.from_numpy(names.astype(np.int64)))


def split_digits(digits: Digits, holdout: int, seed: int) -> tuple[Digits, Digits]:
    """Return the digits to train on, and those that are held out, chosen at random.

    Raises:
        DataError: There are too few.
    """
    if len(digits.labels) < 2 * holdout:
        raise DataError(f"{len(digits.labels)} digits are too few to hold out {holdout}; give at least {2 * holdout}")
    order = torch.randperm(len(digits.labels), generator=random_generator(seed, "held-out digits"))
    parts = (order[holdout:], order[:holdout])
    first, second = (Digits(digits.images[part], digits.labels[part]) for part in parts)
    return first, second


def train_classifier(digits: Digits, settings: ClassifierSettings, say: Callable[[str], None]) -> nn.Sequential:
    """Train a classifier on digits that are shifted at random by up to `MAX_SHIFT_PX`.

    Args:
        digits: To train on.
        settings: Length and seed.
        say: Called after each epoch.

    Returns:
        The classifier, in eval mode.
    """
    torch.manual_seed(derived_seed(settings.seed, "digit classifier"))
    network = digit_classifier()
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    updates = max(1, len(digits.labels) // settings.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.epochs * updates)
    network.train()
    for epoch in range(settings.epochs):
        rng = random_generator(settings.seed, "order and shifts", epoch)
        order = torch.randperm(len(digits.labels), generator=rng)
        losses = []
        for indices in torch.split(order[: updates * settings.batch], settings.batch):
            images = _shift(digits.images[indices], rng).float() / 127.5 - 1
            loss = functional.cross_entropy(network(images), digits.labels[indices])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        say(f"epoch {epoch + 1} of {settings.epochs}: loss {sum(losses) / len(losses):.4f}")
    return network.eval()


def _shift(images: Tensor, rng: torch.Generator) -> Tensor:
    """Return images (N, 1, H, W), each shifted by its own whole pixels; what is uncovered is black, as around MNIST's digits."""
    padded = functional.pad(images, (MAX_SHIFT_PX,) * 4)
    starts = torch.randint(0, 2 * MAX_SHIFT_PX + 1, (2, len(images)), generator=rng)
    side = torch.arange(images.shape[-1])
    rows, columns = starts[0][:, None] + side, starts[1][:, None] + side  # (N, H), (N, W)
    return padded[torch.arange(len(images))[:, None, None], 0, rows[:, :, None], columns[:, None, :]][:, None]


@torch.inference_mode()
def digit_features(network: nn.Sequential, images: Tensor) -> NDArray[np.float32]:
    """Return the features (N, 128) of digits, uint8 (N, 1, 28, 28)."""
    return torch.cat([network[:-1](part.float() / 127.5 - 1) for part in torch.split(images, 500)]).numpy()


def accuracy_interval(right: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927)."""
    z, share = 1.96, right / count
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return middle - half, min(1.0, middle + half)


def build(images: Path, labels: Path, folder: Path, settings: ClassifierSettings, say: Callable[[str], None]) -> str:
    """Train, measure, and write weights and card.

    Args:
        images: MNIST's digits.
        labels: What they show.
        folder: Where both files are written.
        settings: Length and seed.
        say: Shows the progress.

    Returns:
        The hash of the weights file.
    """
    training, held_out = split_digits(read_digits(images, labels), settings.holdout, settings.seed)
    network = train_classifier(training, settings, say)
    return write_classifier(network, training, held_out, settings, folder, f"{COMMAND} {images.name} {labels.name} OUT_DIR")


def write_classifier(
    network: nn.Sequential, training: Digits, held_out: Digits, settings: ClassifierSettings, folder: Path, command: str
) -> str:  # fmt: skip
    """Write weights and card of a trained classifier, with its accuracy on held-out digits, and return the hash of the weights file."""
    right = int((classify(network, held_out.images) == held_out.labels).sum())
    header = {"schema_version": 1, "licence": LICENCE, "credit": CREDIT, "held_out": settings.holdout, "right": right, "torch": torch.__version__}
    ensure_folder(folder)
    path = folder / WEIGHTS.name
    write_tensors(path, network.state_dict(), header)
    digest = sha256(path.read_bytes())
    own, others = (digit_features(network, part) for part in (training.images[: settings.holdout], held_out.images))
    low, high = accuracy_interval(right, settings.holdout)
    lines = (
        "# The digit classifier of `--extractor digits`",
        "",
        f"`{WEIGHTS.name}`, SHA-256 `{digest}`:",
        f"{sum(parameter.numel() for parameter in network.parameters()):,} parameters; four convolutions, the means of {FEATURE_DIM} feature maps, ten",
        f"classes. The features are these means, standardised over the digits of the training. It takes grey pictures of {DIGIT_PX} px.",
        "",
        f"Trained on {len(training.labels):,} digits for {settings.epochs} epochs.",
        f"**{right:,} of {settings.holdout:,} held-out digits are classified right**: {right / settings.holdout:.1%} "
        f"(95 % interval {low:.1%} to {high:.1%}).",
        "",
        f"These held-out digits against as many of the training: FD {frechet_from_features(own, others):.2f}, "
        f"KID {kernel_distance(own, others).mean:.4f}.",
        "This is what no difference scores.",
        "",
        f"Made on one thread with torch {torch.__version__} by",
        "",
        "```sh",
        command,
        "```",
        "",
        "## Credit and licence",
        "",
        f"The digits are from {CREDIT}, under {LICENCE}",
        "(https://creativecommons.org/licenses/by-sa/3.0/). The weights were made from them and are shared under the same licence; the code is under",
        "mitlgan's own.",
        "",
    )  # fmt: skip
    write_atomically(folder / "CARD.md", "\n".join(lines))
    return digest


def main(arguments: list[str]) -> int:
    """Run the command line."""
    if len(arguments) != 3:
        print(f"usage: {COMMAND} IMAGES LABELS OUT_DIR", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        images, labels, folder = map(Path, arguments)
        digest = build(images, labels, folder, ClassifierSettings(), print)
    except MitlganError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"{folder / WEIGHTS.name}: SHA-256 {digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
