"""Encodings of chosen pairs of nodes, without a value for all others: links of large graphs."""
