"""Attention of every pair of nodes over the paths of two pairs that join them: as formulas, in blocks, compiled."""
