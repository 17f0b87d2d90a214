"""Encoders of eigenvectors and eigenvalues."""
