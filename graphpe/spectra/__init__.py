"""Encodings that are functions of a spectrum."""
