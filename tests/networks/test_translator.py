from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mitlgan import networks
from mitlgan.errors import UsageError
from mitlgan.networks.translators import check_translator
from mitlgan.networks.translators.dense import DenseBlock, build_dense
from mitlgan.recipe import TranslatorRecipe

TABLE_7_3 = {
    "enter": (9_600, (64, 128, 128)),
    "down_1": (74_112, (128, 64, 64)),
    "down_2": (295_680, (256, 32, 32)),
    "block_1": (590_592 + 590_592, (256, 32, 32)),
    "block_2": (1_180_416 + 590_592, (256, 32, 32)),
    "block_3": (1_770_240 + 590_592, (256, 32, 32)),
    "block_4": (2_360_064 + 590_592, (256, 32, 32)),
    "block_5": (2_949_888 + 590_592, (256, 32, 32)),
    "block_6": (3_539_712 + 590_592, (256, 32, 32)),
    "up_1": (2_064_768, (128, 64, 64)),
    "up_2": (73_920, (64, 128, 128)),
    "leave": (9_417, (3, 128, 128)),
}


def test_dense_translator_is_table_7_3() -> None:
    with torch.device("meta"):
        translator = build_dense(TranslatorRecipe(), 128, 3)
    counts = {name: networks.count_parameters(stage).parameters for name, stage in translator.named_children()}
    assert {name: count for name, count in counts.items() if count} == {name: count for name, (count, _) in TABLE_7_3.items()}
    assert sum(counts.values()) == 18_461_982 - 21
    shapes: dict[str, tuple[int, ...]] = {}
    for name, stage in translator.named_children():
        stage.register_forward_hook(lambda _stage, _given, output, name=name: shapes.update({name: tuple(output.shape[1:])}))
    translator(torch.empty(2, 3, 128, 128, device="meta"))
    assert {name: shapes[name] for name in TABLE_7_3} == {name: shape for name, (_, shape) in TABLE_7_3.items()}


def test_every_conv_has_a_bias_and_an_affine_instancenorm() -> None:
    translator = build_dense(TranslatorRecipe(widths=(4, 6, 8), blocks=2), 32, 3)
    blocks = [block for block in translator.modules() if isinstance(block, nn.Conv2d | nn.InstanceNorm2d)]
    for conv, norm in zip(blocks[::2], blocks[1::2], strict=True):
        assert isinstance(conv, nn.Conv2d)
        assert conv.bias is not None
        assert conv.padding_mode == "zeros"
        assert isinstance(norm, nn.InstanceNorm2d)
        assert norm.affine
        assert not norm.track_running_stats


def test_only_the_first_block_has_no_relu_inside() -> None:
    translator = build_dense(TranslatorRecipe(widths=(4, 6, 8), blocks=3), 32, 3)
    blocks = [block for block in translator.children() if isinstance(block, DenseBlock)]
    assert [any(isinstance(part, nn.ReLU) for part in block.first) for block in blocks] == [False, True, True]
    assert all(any(isinstance(part, nn.ReLU) for part in block.second) for block in blocks)


def naive(translator: nn.Module, image: Tensor) -> Tensor:
    """Table 7.3 as it is printed: each block's output is concatenated to all earlier features."""
    features = image
    for name, stage in translator.named_children():
        if name.startswith("block"):
            features = torch.cat([features, stage.second(stage.first(features))], dim=1)
        else:
            features = stage(features)
    return features


def test_dense_translator_is_its_naive_form() -> None:
    torch.manual_seed(0)
    translator = build_dense(TranslatorRecipe(widths=(4, 6, 8), blocks=4), 16, 3)
    image = torch.randn(3, 3, 16, 16, requires_grad=True)
    weights = torch.randn(3, 3, 16, 16)
    given = [image, *translator.parameters()]
    found, expected = translator(image), naive(translator, image)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    gradients = [torch.autograd.grad((output * weights).sum(), given) for output in (found, expected)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    assert min(gradient.abs().max() for gradient in gradients[0]) > 0


def kept_numbers(forward: Callable[[Tensor], Tensor], image: Tensor) -> int:
    """Numbers that are alive for the backward pass, each storage counted once."""
    before = torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, lambda tensor: tensor)
    sizes: dict[int, int] = {}
    alive: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        alive.append(tensor)
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes() // 4
        return tensor

    del before
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        forward(image)
    return sum(sizes.values())


@pytest.mark.parametrize(("name", "lowest"), [("relu", 0.0), ("tanh", -1.0)])
def test_last_activation_is_the_recipes(name: str, lowest: float) -> None:
    torch.manual_seed(0)
    translator = build_dense(TranslatorRecipe(widths=(4, 6, 8), blocks=1, activation=name), 16, 3)  # type: ignore[arg-type]
    images = translator(torch.randn(4, 3, 16, 16))
    assert images.shape == (4, 3, 16, 16)
    assert images.min() >= lowest
    assert (images.min() < 0) == (lowest < 0)


@pytest.mark.parametrize(
    ("size_px", "change", "message"),
    [
        (4, {}, r"^composer\.translator\.kind: a kernel of 7 px is larger"),
        (34, {}, r"^composer\.translator\.widths: .*give fewer"),
        (8, {"widths": (4, 4, 4, 4)}, r"^composer\.translator\.widths: .*give fewer"),
        (32, {"widths": ()}, r"^composer\.translator\.widths: "),
        (32, {"blocks": 0}, r"^composer\.translator\.blocks: "),
    ],
)
def test_contradictory_translator_is_refused(size_px: int, change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_translator(TranslatorRecipe().model_copy(update=change), size_px)


def test_smallest_size_trains() -> None:
    build_dense(TranslatorRecipe(widths=(4, 6, 8), blocks=1), 8, 3)(torch.randn(1, 3, 8, 8)).sum().backward()
