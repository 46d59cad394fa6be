"""Pixels: colors, transparency, animations."""
