"""The peers as loops that can be stopped at any CPU time: torch-mimicry's SNGAN and WGAN-GP, lightweight-gan, and the textbook loop.

No peer is a dependency, and none is changed. Their networks, losses, updates and settings are their own; this file only calls them, on a CPU:

- torch-mimicry 0.1.16: the classes of `nets`, their `train_step`, the learning rates' scheduler, and the settings of its example (Adam 2e-4 with betas
  0 and 0.9, five critic updates, batch 64, linear decay over 100,000 iterations). Its trainer, which only adds logs and checkpoints, is left out. The
  package imports tensorflow and others for its metrics, and a module that torch no longer has: where they are absent, empty modules stand in for them
  during the import alone. "Narrow" divides its widths `ngf` and `ndf` by four.
- lightweight-gan 1.2.1: its `Trainer` with the default settings of that class (batch 4, Adam 2e-4, augmentation as it chooses it) at 64 px. Its check
  for CUDA is answered with yes, and what it moves to CUDA stays on the CPU. Its own sample pictures are not written. Its moving average begins after
  20,000 updates, so its plain generator is measured. Blur and AdaBelief, which these settings do not use, may be absent, too.
"""

from __future__ import annotations

import copy
import inspect
import random
import sys
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar
from unittest import mock

import torch
from torch import Tensor, nn

from mitlgan.bench.quality.textbook import TextbookLoop, endless_batches
from mitlgan.errors import UsageError
from mitlgan.networks import Network
from mitlgan.networks.batchnorm import recalibrate_batchnorm

RECALIBRATION_BATCHES = 2
"""Batches of 64 pictures for the BatchNorm statistics of a generator that is measured; wide generators take long on a CPU."""
MIMICRY_ABSENT = ("tensorflow", "sklearn", "sklearn.metrics", "sklearn.metrics.pairwise", "skimage", "requests", "lmdb", "torch._six")
LIGHTWEIGHT_ABSENT = ("kornia", "kornia.filters", "adabelief_pytorch")
MIMICRY_BATCH, MIMICRY_CRITIC_STEPS, MIMICRY_ITERATIONS = 64, 5, 100_000
NARROWING = 4


class PeerGenerator(Network):
    """A peer's generator as a network of the product.

    Args:
        module: Maps latents (N, D) to images (N, 3, H, W).
        latent_dim: D.
        size_px: Height and width.
        lowest: What the peer means by black, -1 or 0; white is 1.
    """

    kind = "generator"

    def __init__(self, module: nn.Module, latent_dim: int, size_px: int, lowest: float) -> None:
        super().__init__()
        self.module, self.latent_dim, self.size_px, self.lowest, self.image_channels = module, latent_dim, size_px, lowest, 3

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the latents."""
        return (self.latent_dim,)

    def latent_dims_for(self, role: str) -> dict[str, int]:
        """Return the one latent."""
        return {role: self.latent_dim}

    def forward(self, latents: Tensor) -> Tensor:
        """Return images in [-1, 1]."""
        images = self.module(latents).clamp(self.lowest, 1)
        return 2 * (images - self.lowest) / (1 - self.lowest) - 1


class PeerLoop(ABC):
    """A peer's training.

    Attributes:
        cpu_s: CPU seconds so far, reading pictures included.
        images_shown: Real pictures shown to the critic so far.
        generator_updates: Updates of the generator so far.
    """

    def __init__(self) -> None:
        self.cpu_s, self.images_shown, self.generator_updates = 0.0, 0, 0

    def train_until(self, cpu_s: float) -> None:
        """Train until as many CPU seconds have been used in all."""
        while self.cpu_s < cpu_s:
            start_s = time.process_time()
            self.update()
            self.cpu_s += time.process_time() - start_s

    @abstractmethod
    def update(self) -> None:
        """Do the smallest part of the training that can be timed, and count it."""

    @abstractmethod
    def networks(self) -> tuple[nn.Module, nn.Module]:
        """Return generator and critic."""

    @abstractmethod
    def generator_for_use(self) -> Network:
        """Return a copy of the generator with the BatchNorm statistics of its present weights, which favours the peer."""


class MimicryLoop(PeerLoop):
    """A training as torch-mimicry's example and `Trainer.train` have it.

    Args:
        pictures: Folder with a folder `train` of pictures.
        size_px: Height and width, 32 or 64.
        seed: Of weights, order and noise.
        family: Module of `torch_mimicry.nets`, and the beginning of its classes' names.
        narrowing: What the widths are divided by.
    """

    FAMILIES: ClassVar[dict[str, str]] = {"sngan": "SNGAN", "wgan_gp": "WGANGP"}

    def __init__(self, pictures: Path, size_px: int, seed: int, family: str, narrowing: int = 1) -> None:
        super().__init__()
        self.training = import_mimicry("training")
        seed_everything(seed)
        nets = import_mimicry(f"nets.{family}")
        classes = [getattr(nets, f"{self.FAMILIES[family]}{part}{size_px}") for part in ("Generator", "Discriminator")]
        self.generator, self.critic = (narrow(network, width, narrowing) for network, width in zip(classes, ("ngf", "ndf"), strict=True))
        self.optimisers = [torch.optim.Adam(network.parameters(), 2e-4, betas=(0.0, 0.9)) for network in (self.generator, self.critic)]
        generator_optimiser, critic_optimiser = self.optimisers
        self.scheduler = self.training.scheduler.LRScheduler("linear", critic_optimiser, generator_optimiser, MIMICRY_ITERATIONS)
        self.batches = endless_batches(pictures, size_px, MIMICRY_BATCH)
        self.size_px, self.critic_updates = size_px, 0

    def update(self) -> None:
        """Update the critic once, and the generator after each fifth time."""
        images = next(self.batches)
        real, log = (images, torch.zeros(len(images), dtype=torch.long)), self.training.metric_log.MetricLog()
        generator_optimiser, critic_optimiser = self.optimisers
        self.critic.train_step(real_batch=real, netG=self.generator, optD=critic_optimiser, log_data=log, device=torch.device("cpu"))
        self.critic_updates += 1
        self.images_shown += len(images)
        if self.critic_updates % MIMICRY_CRITIC_STEPS == 0:
            self.generator.train_step(real_batch=real, netD=self.critic, optG=generator_optimiser, log_data=log, device=torch.device("cpu"))
            self.generator_updates += 1
            self.scheduler.step(log_data=log, global_step=self.generator_updates)

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """Return generator and critic."""
        return self.generator, self.critic

    def generator_for_use(self) -> Network:
        """Return a copy with the statistics of the present weights."""
        copied = PeerGenerator(copy.deepcopy(self.generator), self.generator.nz, self.size_px, lowest=-1)
        return recalibrate_batchnorm(copied, 0, batches=RECALIBRATION_BATCHES)


class LightweightLoop(PeerLoop):
    """A training by lightweight-gan's own trainer.

    Args:
        pictures: Folder with a folder `train` of pictures.
        size_px: Height and width; its networks are of 64 px or more.
        seed: Of weights, order and noise.
        folder: For its files.
    """

    def __init__(self, pictures: Path, size_px: int, seed: int, folder: Path) -> None:
        super().__init__()
        peer = import_lightweight()
        seed_everything(seed)
        self.trainer = peer.Trainer(base_dir=folder, image_size=size_px, num_workers=0, use_aim=False)
        self.trainer.evaluate = lambda *_, **__: None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # memory is not pinned without CUDA
            self.trainer.set_data_src(pictures / "train")
            with stay_on_cpu():
                self.trainer.init_GAN()

    def update(self) -> None:
        """Update critic and generator once."""
        with stay_on_cpu(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.trainer.train()
        self.images_shown += self.trainer.batch_size * self.trainer.gradient_accumulate_every
        self.generator_updates += 1

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """Return generator and critic."""
        return self.trainer.GAN.G, self.trainer.GAN.D

    def generator_for_use(self) -> Network:
        """Return a copy with the statistics of the present weights."""
        copied = PeerGenerator(copy.deepcopy(self.trainer.GAN.G), self.trainer.latent_dim, self.trainer.image_size, lowest=0)
        return recalibrate_batchnorm(copied, 0, batches=RECALIBRATION_BATCHES)


class TextbookPeer(PeerLoop):
    """The textbook loop of `mitlgan bench --quality`; arguments as of `TextbookLoop`."""

    def __init__(self, pictures: Path, size_px: int, seed: int) -> None:
        super().__init__()
        self.loop = TextbookLoop(pictures, size_px, seed)

    def update(self) -> None:
        """Update the critic five times and the generator once."""
        self.loop.train_until(self.loop.cpu_s + 1e-9)
        self.images_shown, self.generator_updates = self.loop.images_shown, self.generator_updates + 1

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """Return generator and critic."""
        return self.loop.generator, self.loop.critic

    def generator_for_use(self) -> Network:
        """Return a copy with the statistics of the present weights."""
        return self.loop.generator_for_use()


@dataclass(frozen=True)
class Peer:
    """A peer at its settings.

    Attributes:
        title: For the table.
        modules: What has to be installed.
        sizes_px: Sizes that its networks have.
        open: Makes a loop from the folder of pictures, the size, the seed and a folder for its own files.
    """

    title: str
    modules: tuple[str, ...]
    sizes_px: tuple[int, ...]
    open: Callable[[Path, int, int, Path], PeerLoop]

    def require(self) -> None:
        """Check that the peer is installed.

        Raises:
            UsageError: It is not.
        """
        for module in self.modules:
            if find_spec(module) is None:
                raise UsageError(f"{self.title}: {module} is not installed; see tests/peers/README.md, or choose others by --side")


def mimicry_peer(title: str, family: str, narrowing: int = 1) -> Peer:
    """Return a peer of torch-mimicry; arguments as of `MimicryLoop`."""
    return Peer(
        f"torch-mimicry {title}",
        ("torch_mimicry",),
        (32, 64),
        lambda pictures, size_px, seed, _: MimicryLoop(pictures, size_px, seed, family, narrowing),
    )


PEERS = {
    "sngan": mimicry_peer("SNGAN", "sngan"),
    "wgan-gp": mimicry_peer("WGAN-GP", "wgan_gp"),
    "lightweight": Peer("lightweight-gan", ("lightweight_gan", "einops"), (64,), LightweightLoop),
    "sngan-narrow": mimicry_peer("SNGAN, narrow", "sngan", NARROWING),
    "wgan-gp-narrow": mimicry_peer("WGAN-GP, narrow", "wgan_gp", NARROWING),
    "textbook": Peer("textbook WGAN-GP loop", (), (32, 64), lambda pictures, size_px, seed, _: TextbookPeer(pictures, size_px, seed)),
}
"""Peers by name."""


def narrow(network: type[nn.Module], width: str, narrowing: int) -> Any:
    """Return a new network whose argument `width` is its default divided by a number."""
    return network(**{width: inspect.signature(network).parameters[width].default // narrowing})


def seed_everything(seed: int) -> None:
    """Seed all generators of random numbers that the peers use."""
    torch.manual_seed(seed)
    random.seed(seed)


def import_mimicry(module: str) -> ModuleType:
    """Return a module of torch-mimicry."""
    with stand_in(MIMICRY_ABSENT):
        return import_module(f"torch_mimicry.{module}")


def import_lightweight() -> ModuleType:
    """Return lightweight-gan's module, whose devices are the CPU."""
    with stand_in(LIGHTWEIGHT_ABSENT), mock.patch("torch.cuda.is_available", return_value=True):
        module = import_module("lightweight_gan.lightweight_gan")
    module.torch = CpuTorch("torch")  # type: ignore[attr-defined]
    return module


@contextmanager
def stand_in(names: tuple[str, ...]) -> Iterator[None]:
    """Let modules that are absent be imported as empty ones, during the context."""
    absent = [name for name in names if name not in sys.modules and not is_installed(name)]
    sys.modules.update({name: mock.MagicMock() for name in absent})
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def is_installed(name: str) -> bool:
    """Whether a module, or one within a package, can be imported."""
    try:
        return find_spec(name) is not None
    except (ModuleNotFoundError, ValueError):  # its package is absent, or stands in
        return False


class CpuTorch(ModuleType):
    """The module torch, for whom every device is the CPU."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    @staticmethod
    def device(_: object) -> torch.device:
        """Return the CPU."""
        return torch.device("cpu")


@contextmanager
def stay_on_cpu() -> Iterator[None]:
    """Let `.cuda()` of tensors and modules do nothing, during the context."""
    with ExitStack() as stack:
        for owner in (Tensor, nn.Module):
            stack.enter_context(mock.patch.object(owner, "cuda", lambda self, *_, **__: self))
        yield
