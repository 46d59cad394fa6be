"""What all other packages use: files, devices and ranks, signals, progress, random numbers, child processes."""
