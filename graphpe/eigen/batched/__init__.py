"""Eigenpairs of many small graphs at once."""
