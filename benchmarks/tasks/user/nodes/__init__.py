"""Own data with targets of nodes: what they are, and which nodes are for training, validation and test."""
