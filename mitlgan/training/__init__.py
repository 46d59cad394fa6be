"""The training loop and all that belongs to it: state, inputs, augmentation, health, run directories, artifacts."""
