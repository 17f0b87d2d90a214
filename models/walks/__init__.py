"""Architectures that read random walks as sequences, and the walks of a batch."""
