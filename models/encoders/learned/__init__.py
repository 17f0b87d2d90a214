"""Encodings that a model makes of the graphs themselves, with nothing computed before."""
