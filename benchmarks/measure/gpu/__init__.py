"""What one GPU does: right against the CPU, how fast, in how much memory; run as a module."""
