"""The engine of long runs: data on disk, devices, checkpoints, the loop, the command line."""
