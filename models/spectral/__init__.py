"""Architectures that filter signals on graphs along eigenvectors."""
