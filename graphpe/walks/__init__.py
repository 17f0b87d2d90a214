"""Encodings that are functions of random walks."""
