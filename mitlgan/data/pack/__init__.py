"""The packed dataset: one file of uint8 pixels with a manifest."""
