"""Trained runs: loaded, used for predictions, compared."""
