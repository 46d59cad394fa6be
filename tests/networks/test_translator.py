import pytest
import torch
from torch import nn

from mitlgan import networks
from mitlgan.errors import UsageError
from mitlgan.networks.translator import DenseBlock, build_dense, check_dense
from mitlgan.recipe import TranslatorRecipe

TABLE_7_3 = {
    "enter": (9_600, (64, 128, 128)),
    "down_1": (74_112, (128, 64, 64)),
    "down_2": (295_680, (256, 32, 32)),
    "block_1": (590_592 + 590_592, (512, 32, 32)),
    "block_2": (1_180_416 + 590_592, (768, 32, 32)),
    "block_3": (1_770_240 + 590_592, (1024, 32, 32)),
    "block_4": (2_360_064 + 590_592, (1280, 32, 32)),
    "block_5": (2_949_888 + 590_592, (1536, 32, 32)),
    "block_6": (3_539_712 + 590_592, (1792, 32, 32)),
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


def test_dense_block_keeps_all_earlier_features() -> None:
    block = DenseBlock(5, 3, inner_activation=True)
    features = torch.randn(2, 5, 8, 8)
    output = block(features)
    assert output.shape == (2, 8, 8, 8)
    assert torch.equal(output[:, :5], features)
    assert output[:, 5:].min() == 0


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
        check_dense(TranslatorRecipe().model_copy(update=change), size_px)


def test_smallest_size_trains() -> None:
    build_dense(TranslatorRecipe(widths=(4, 6, 8), blocks=1), 8, 3)(torch.randn(1, 3, 8, 8)).sum().backward()
