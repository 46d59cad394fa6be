import numpy as np
import pytest
import torch
from torch import Tensor

from mitlgan.metrics.clipping import PATCH_PX, TOLERANCE, ClippedShares, ClippingCounter


def counted(*batches: Tensor) -> ClippedShares:
    counter = ClippingCounter()
    assert [len(batch) for batch in counter.count_through(batches)] == [len(batch) for batch in batches]
    return counter.result()


def by_hand(images: Tensor) -> ClippedShares:
    values = images.numpy()
    low, high = int(values.min()), int(values.max())
    dark = bright = total = 0
    for image in values:
        for y in range(1, image.shape[1] - 1):
            for x in range(1, image.shape[2] - 1):
                patch = image[:, y - 1 : y + 2, x - 1 : x + 2]
                total += 1
                dark += int((patch <= low + TOLERANCE).all())
                bright += int((patch >= high - TOLERANCE).all())
    return ClippedShares(dark / total, bright / total, low, high)


def noisy(seed: int, low: int = 20, high: int = 230) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(low, high, (3, 3, 12, 10), dtype=np.uint8))


def test_agrees_with_a_count_by_hand() -> None:
    images = noisy(0)
    images[0, :, 2:8, 2:7] = 10
    images[1, :, 0:5, 0:6] = 250
    images[2, :2, 4:9, 4:9] = 10  # one channel is not clipped
    found = counted(images)
    assert found == pytest.approx(by_hand(images))
    assert found.dark == (4 * 3) / (3 * 10 * 8)
    assert found.bright == (3 * 4) / (3 * 10 * 8)


def test_single_clipped_pixels_are_no_fault() -> None:
    images = noisy(1)
    images[:, :, ::4, ::4] = 0
    images[:, :, 2::4, 2::4] = 255
    assert counted(images)[:2] == (0.0, 0.0)


def test_the_dark_end_is_what_the_images_reach() -> None:
    """A ReLU's lowest value is the middle of the range: flat there is burnt out, though it is grey."""
    images = noisy(2, 140, 230)
    images[:, :, :6] = 128
    found = counted(images)
    assert found.lowest == 128
    assert found.dark == pytest.approx(4 / 10)


def test_batches_do_not_matter_even_where_the_end_comes_late() -> None:
    images = noisy(3)
    images[0, :, :4, :4] = 7
    images[2, :, :4, :4] = 5
    assert counted(images[:1], images[1:2], images[2:]) == counted(images)


def test_images_smaller_than_a_patch_and_nothing_at_all() -> None:
    counter = ClippingCounter()
    counter.add(torch.zeros(2, 3, PATCH_PX - 1, 8, dtype=torch.uint8))
    with pytest.raises(ValueError, match="no image"):
        counter.result()
