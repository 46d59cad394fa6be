"""Takes a composition apart: the background first, then each object in front of it."""
