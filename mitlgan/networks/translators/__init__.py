"""Translators: image to image, after fusion, one family a file."""
