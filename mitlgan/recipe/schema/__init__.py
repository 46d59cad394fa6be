"""The tables of a recipe, one file each."""
