"""Homomorphisms from small patterns: patterns, how one is taken apart, counts in many graphs, counts of subgraphs."""
