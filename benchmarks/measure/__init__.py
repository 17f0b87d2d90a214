"""What the figures of the README and of `benchmarks/results` are measured with; not installed."""
