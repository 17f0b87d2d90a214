"""Biases of attention scores from values of pairs."""
