"""Critics: image to score."""
