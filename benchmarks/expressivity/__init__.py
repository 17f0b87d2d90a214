"""Which pairs of graphs encodings and models tell apart."""
