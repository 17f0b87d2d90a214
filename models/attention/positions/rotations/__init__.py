"""Rotations of queries and keys, and of values, by coordinates of nodes: RoPE on graphs and what came after it."""
