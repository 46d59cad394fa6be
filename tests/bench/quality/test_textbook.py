"""The textbook loop is what the paper says, and sees the pictures that it should."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from mitlgan.bench.quality import textbook
from mitlgan.bench.quality.textbook import TextbookLoop, build_networks, endless_batches, gradient_penalty, load_on_backdrop


def test_the_penalty_of_a_linear_critic_is_that_of_its_slope() -> None:
    critic = nn.Sequential(nn.Flatten(), nn.Linear(12, 1, bias=False))
    slope = critic[1].weight.norm().item()
    penalty = gradient_penalty(critic, torch.rand(5, 3, 2, 2), torch.rand(5, 3, 2, 2))
    assert penalty.item() == pytest.approx((slope - 1) ** 2)


def test_networks_have_a_block_for_each_doubling() -> None:
    for size_px, widths in ((32, [32, 64, 128]), (64, [32, 64, 128, 256])):
        generator, critic = build_networks(size_px)
        images = generator(torch.randn(2, generator.latent_dim))
        assert images.shape == (2, 3, size_px, size_px)
        assert critic(images).shape == (2,)
        assert [module.out_channels for module in critic.modules() if isinstance(module, nn.Conv2d)] == widths


def test_batches_hold_training_pictures_alone(photos: Path) -> None:
    for picture in (photos / "bg" / "test").iterdir():
        picture.write_bytes(b"not a picture")
    images = next(endless_batches(photos / "bg", 8))
    assert images.shape == (12, 3, 8, 8)
    assert images.min() >= -1
    assert images.max() <= 1
    assert images.min() < 0 < images.max()


def test_transparency_becomes_the_backdrop(tmp_path: Path) -> None:
    layer = Image.new("RGBA", (2, 1), (200, 0, 0, 255))
    layer.putpixel((1, 0), (200, 0, 0, 0))
    layer.save(tmp_path / "layer.png")
    picture = load_on_backdrop(str(tmp_path / "layer.png"))
    assert [picture.getpixel((x, 0)) for x in range(2)] == [(200, 0, 0), (255, 255, 255)]


def test_five_critic_updates_for_each_of_the_generator(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(textbook, "BATCH", 4)
    loop = TextbookLoop(photos / "bg", 8, 0)
    before = [parameter.clone() for parameter in (*loop.generator.parameters(), *loop.critic.parameters())]
    loop.train_until(1e-9)
    after = [*loop.generator.parameters(), *loop.critic.parameters()]
    assert loop.images_shown == 20
    assert loop.cpu_s > 0
    assert sum(not torch.equal(first, second) for first, second in zip(before, after, strict=True)) > len(before) // 2
    done = loop.images_shown
    loop.train_until(loop.cpu_s)
    assert loop.images_shown == done
    (group,) = loop.critic_optimiser.param_groups
    assert (group["lr"], group["betas"]) == (1e-4, (0.0, 0.9))
