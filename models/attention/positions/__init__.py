"""Positions in attention: linear maps of queries, keys and values at each node."""
