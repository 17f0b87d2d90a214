"""GRIT's attention over pairs."""
