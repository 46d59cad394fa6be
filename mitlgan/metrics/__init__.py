"""Measures of generated images: feature extractors, distances between feature sets, and the separation of layers."""
