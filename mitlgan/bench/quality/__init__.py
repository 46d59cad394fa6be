"""Time to quality: CPU seconds until a recommended recipe is as good as a textbook WGAN-GP loop is after a given time."""
