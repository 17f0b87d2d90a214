"""Training: options, loop, checkpoints, run folder, summary."""
