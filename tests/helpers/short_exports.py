"""Whoever imports this, a child of a test, too, exports networks after 64 images in place of 2,048: most of what a tiny training takes."""

import pytest

from mitlgan.networks import batchnorm

IMAGES_OF_USERS = (batchnorm.RECALIBRATION_BATCHES, batchnorm.RECALIBRATION_BATCH)
"""Batches, and images of each, without this module."""

batchnorm.RECALIBRATION_BATCHES, batchnorm.RECALIBRATION_BATCH = 2, 32


def export_like_users(patch: pytest.MonkeyPatch) -> None:
    """For a test that compares with a real `mitlgan` process, which does not import this."""
    for name, number in zip(("RECALIBRATION_BATCHES", "RECALIBRATION_BATCH"), IMAGES_OF_USERS, strict=True):
        patch.setattr(batchnorm, name, number)
