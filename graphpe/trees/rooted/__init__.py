"""Rooted trees: which way is up, and the paths from the roots."""
