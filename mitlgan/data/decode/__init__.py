"""Decoding of picture files."""
