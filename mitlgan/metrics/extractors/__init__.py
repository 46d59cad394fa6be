"""Feature extractors: uint8 images in, one feature vector per image out."""
