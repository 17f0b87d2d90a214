"""Kernels of softmax attention in tiles of queries and keys, and the parts that they share."""
