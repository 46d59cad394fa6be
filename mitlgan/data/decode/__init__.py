"""A file to an upright RGB or RGBA picture in sRGB, or the reason why not."""
