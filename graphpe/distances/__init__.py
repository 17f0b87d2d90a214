"""Shortest paths, and what lies on them."""
