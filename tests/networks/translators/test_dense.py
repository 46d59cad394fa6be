"""The thesis' translator, Table 7.3."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from mitlgan import networks
from mitlgan.errors import UsageError
from mitlgan.networks import check_size
from mitlgan.networks.translators.dense import DenseBlock, build_dense
from mitlgan.recipe import DenseTranslatorRecipe

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


def naive(translator: nn.Module, image: Tensor, shapes: dict[str, tuple[int, ...]] | None = None) -> Tensor:
    """Table 7.3 as it is printed: each block's output is concatenated to all earlier features."""
    features = image
    for name, stage in translator.named_children():
        result = stage.second(stage.first(features)) if isinstance(stage, DenseBlock) else stage(features)
        features = torch.cat([features, result], dim=1) if isinstance(stage, DenseBlock) else result
        if shapes is not None:
            shapes[name] = tuple(features.shape[1:])
    return features


class Storages(TorchDispatchMode):
    """Remembers what is allocated while it is on, without keeping it alive."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Sequence[Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        output = func(*args, **(kwargs or {}))
        for tensor in output if isinstance(output, tuple | list) else [output]:
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                self.seen[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        return output

    def alive_bytes(self) -> int:
        return sum(size for reference, size in self.seen.values() if not reference.expired())


def kept_bytes(forward: Callable[[Tensor], Tensor], image: Tensor) -> int:
    """What waits for the backward pass."""
    with Storages() as storages:
        output = forward(image)
    kept = storages.alive_bytes()
    output.sum().backward()
    return kept


def test_dense_translator_is_table_7_3() -> None:
    with torch.device("meta"):
        translator = build_dense(DenseTranslatorRecipe(), 3)
    counts = {name: networks.count_parameters(stage).parameters for name, stage in translator.named_children()}
    assert {name: count for name, count in counts.items() if count} == {name: count for name, (count, _) in TABLE_7_3.items()}
    assert sum(counts.values()) == 18_461_982 - 21
    shapes: dict[str, tuple[int, ...]] = {}
    image = torch.empty(2, 3, 128, 128, device="meta")
    assert translator(image).shape == naive(translator, image, shapes).shape
    assert {name: shapes[name] for name in TABLE_7_3} == {name: shape for name, (_, shape) in TABLE_7_3.items()}


def test_every_conv_has_a_bias_and_an_affine_instancenorm() -> None:
    translator = build_dense(DenseTranslatorRecipe(widths=(4, 6, 8), blocks=2), 3)
    blocks = [block for block in translator.modules() if isinstance(block, nn.Conv2d | nn.InstanceNorm2d)]
    for conv, norm in zip(blocks[::2], blocks[1::2], strict=True):
        assert isinstance(conv, nn.Conv2d)
        assert conv.bias is not None
        assert conv.padding_mode == "zeros"
        assert isinstance(norm, nn.InstanceNorm2d)
        assert norm.affine
        assert not norm.track_running_stats


def test_only_the_first_block_has_no_relu_inside() -> None:
    translator = build_dense(DenseTranslatorRecipe(widths=(4, 6, 8), blocks=3), 3)
    blocks = [block for block in translator.children() if isinstance(block, DenseBlock)]
    assert [any(isinstance(part, nn.ReLU) for part in block.first) for block in blocks] == [False, True, True]
    assert all(any(isinstance(part, nn.ReLU) for part in block.second) for block in blocks)


def test_dense_translator_is_its_naive_form() -> None:
    """Outputs and all gradients, also of a gradient, at every order that is asked for."""
    torch.manual_seed(0)
    translator = build_dense(DenseTranslatorRecipe(widths=(4, 6, 8), blocks=4), 3).double()
    image = torch.randn(3, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(3, 3, 16, 16, dtype=torch.float64)
    given = [image, *translator.parameters()]
    result, expected = translator(image), naive(translator, image)
    assert torch.equal(result, expected)
    first, second = (torch.autograd.grad((output * weights).sum(), given, create_graph=True) for output in (result, expected))
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    assert first[0].abs().max() > 1e-3
    again = [torch.autograd.grad(gradients[0].square().sum(), translator.block_4.first.conv.weight)[0] for gradients in (first, second)]
    torch.testing.assert_close(*again, rtol=0, atol=1e-10)
    assert again[0].abs().max() > 1e-3


def test_dense_blocks_keep_no_copies_of_earlier_features() -> None:
    """The naive form keeps blocks 2 to 6's inputs, 2 + 3 + ... + 6 features' worth, which are nothing but copies."""
    torch.manual_seed(0)
    width, px, images = 8, 8, 2
    translator = build_dense(DenseTranslatorRecipe(widths=(4, 6, width), blocks=6), 3)
    image = torch.randn(images, 3, 4 * px, 4 * px)
    kept, naively = kept_bytes(translator, image), kept_bytes(lambda given: naive(translator, given), image)
    assert naively - kept == 4 * images * width * px**2 * (2 + 3 + 4 + 5 + 6)


def test_nothing_is_kept_where_no_gradient_is_wanted() -> None:
    translator = build_dense(DenseTranslatorRecipe(widths=(4, 6, 8), blocks=3), 3)
    image = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(translator(image), naive(translator, image))


@pytest.mark.parametrize(("name", "lowest"), [("relu", 0.0), ("tanh", -1.0)])
def test_last_activation_is_the_recipes(name: str, lowest: float) -> None:
    torch.manual_seed(0)
    translator = build_dense(DenseTranslatorRecipe(widths=(4, 6, 8), blocks=1, activation=name), 3)  # type: ignore[arg-type]
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
    ],
)
def test_contradictory_translator_is_refused(size_px: int, change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_size(DenseTranslatorRecipe().model_copy(update=change), size_px)


@pytest.mark.parametrize("change", [{"widths": ()}, {"widths": (4, 4)}, {"blocks": 0}, {"blocks": 65}])
def test_measures_that_no_translator_has_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        DenseTranslatorRecipe(**change)  # type: ignore[arg-type]


def test_smallest_size_trains() -> None:
    build_dense(DenseTranslatorRecipe(widths=(4, 6, 8), blocks=1), 3)(torch.randn(1, 3, 8, 8)).sum().backward()
