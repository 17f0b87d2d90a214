"""Public tasks about the nodes of one graph."""
