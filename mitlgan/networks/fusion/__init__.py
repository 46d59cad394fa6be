"""Fusions: N layers to one image, learnable."""
