"""Sums and products over the neighbours of each node, for graphs whose edges times channels would fill the memory."""
