"""Networks pretrained on photographs, never trained further: extractors measure with their features, and projected critics look through them."""
