"""Relational attention and its update of pairs."""
