import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mitlgan import networks
from mitlgan.networks import Composer
from mitlgan.networks.complexity import OperationCounter
from mitlgan.recipe import ComposerRecipe, ThesisCriticRecipe, ThesisGeneratorRecipe


def test_running_statistics_count_and_batch_counters_do_not() -> None:
    assert networks.count_parameters(nn.BatchNorm2d(7)) == (28, 14)


def test_frozen_counts_but_is_not_trainable() -> None:
    assert networks.count_parameters(nn.Linear(3, 2).requires_grad_(False)) == (8, 0)


@pytest.mark.parametrize(
    ("block", "shape", "expected"),
    [
        (nn.Linear(5, 7), (5,), 35),
        (nn.Conv2d(4, 6, 3, padding=1), (4, 8, 8), 6 * 64 * 4 * 9),
        (nn.Conv2d(4, 6, (3, 1), stride=2, groups=2), (4, 9, 9), 6 * 4 * 5 * 2 * 3),
        (nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1), (4, 8, 8), 4 * 64 * 6 * 16),
        (nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2), (4, 8, 8), 4 * 64 * 3 * 4),
        (nn.BatchNorm2d(4), (4, 8, 8), 0),
    ],
)
def test_multiply_accumulates_of_single_blocks(block: nn.Module, shape: tuple[int, ...], expected: int) -> None:
    assert networks.count_macs(block, shape) == expected


def test_multiply_accumulates_agree_with_torchs_counter(composer: Composer) -> None:
    composer.eval()
    with FlopCounterMode(display=False) as counter:
        composer(torch.zeros(1, 13))
    assert networks.count_macs(composer, (13,)) == counter.get_total_flops() // 2 > 0


def test_multiply_accumulates_of_the_thesis() -> None:
    with torch.device("meta"):
        generator = networks.build_generator(ThesisGeneratorRecipe(), 128)
        composer = networks.build_composer(ComposerRecipe(), {"fg": generator, "bg": generator}, 128)
    conv = 4 * 4 * 2 * 2 * 96 * 48 * 9  # each upsampling takes four times the pixels and an eighth of the channels' product ...
    last = 128 * 128 * 6 * 3 * 9  # ... which makes all five convs cost the same
    assert last == conv
    assert networks.count_macs(generator, (1536,)) == 1536 * 1536 + 5 * conv
    assert networks.count_macs(networks.build_critic(ThesisCriticRecipe(), 128), (3, 128, 128)) == (
        64**2 * 48 * 3 * 25 + 32**2 * 96 * 48 * 25 + 16**2 * 192 * 96 * 25 + 8**2 * 384 * 192 * 25 + 24_576
    )
    assert networks.count_macs(composer, (3072,)) == 26_914_947_072


def test_counting_touches_nothing(composer: Composer) -> None:
    composer.train()
    before = {name: tensor.clone() for name, tensor in composer.state_dict().items()}
    networks.summarize_blocks(composer, (13,))
    assert composer.translator.training
    assert not composer.generators["fg"].training
    assert not any(module._forward_hooks for module in composer.modules())
    after = composer.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_rows_know_what_is_frozen(composer: Composer) -> None:
    table = networks.summarize_blocks(composer, (13,))
    assert {row.trainable for row in table if row.name.startswith("generators.")} == {0}
    assert sum(row.trainable for row in table) == networks.count_parameters(composer).trainable > 0


def test_rows_describe_every_block_in_order() -> None:
    generator = networks.build_generator(ThesisGeneratorRecipe(), 128)
    table = networks.summarize_blocks(generator, (1536,))
    assert sum(row.parameters for row in table) == 2_421_054
    assert sum(row.trainable for row in table) == 2_417_796
    assert [row.type for row in table[:4]] == ["Linear", "BatchNorm1d", "LeakyReLU", "Unflatten"]
    assert table[0] == networks.BlockSummary("stages.base.dense", "Linear", (1536,), 2_359_296, 2_359_296, 2_359_296)
    assert table[3].output_shape == (96, 4, 4)
    assert table[-1] == networks.BlockSummary("stages.to_image.activation", "Tanh", (3, 128, 128), 0, 0, 0)


def test_operations_are_counted_alike_without_computing_them() -> None:
    layer = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.Flatten(), nn.Linear(5 * 16, 2))
    totals = []
    for computes in (True, False):
        images = torch.rand(2, 3, 4, 4, requires_grad=True)
        with OperationCounter(computes=computes) as counter:
            scores = layer(images)
            (gradient,) = torch.autograd.grad(scores.square().sum(), images, create_graph=True)
            gradient.square().sum().backward()
        totals.append(counter.total)
        assert bool(scores.any()) == computes
        assert images.grad is not None
        assert images.grad.shape == images.shape
    assert totals[0] == totals[1] > 0
