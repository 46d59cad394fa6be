"""Critics: image to score, one family a file."""
