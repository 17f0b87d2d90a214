"""Encodings of chosen pairs of one large graph."""
