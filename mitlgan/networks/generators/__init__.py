"""Generators: latent to image."""
