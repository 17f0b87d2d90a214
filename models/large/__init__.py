"""Architectures for one large graph: time and memory linear in nodes and edges."""
