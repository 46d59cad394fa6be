"""Generators: latent to one image layer, one family a file."""
