"""Whoever imports this, a child of a test, too, exports networks after 64 images in place of 2,048: most of what a tiny training takes."""

from mitlgan.networks import batchnorm

IMAGES_OF_USERS = (batchnorm.RECALIBRATION_BATCHES, batchnorm.RECALIBRATION_BATCH)
"""Batches, and images of each, without this module."""

batchnorm.RECALIBRATION_BATCHES, batchnorm.RECALIBRATION_BATCH = 2, 32
