"""Decomposition of a composition into its layers: first the background, then the object in front of it."""
