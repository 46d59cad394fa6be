"""Photographs cut into layers: matting, backgrounds, held-out parts."""
