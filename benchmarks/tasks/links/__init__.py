"""Tasks about links of one graph: whether two nodes are joined, of which the model sees the training edges only."""
