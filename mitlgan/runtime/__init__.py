"""The machine below everything else: files, devices and ranks, signals, progress, randomness, child processes."""
