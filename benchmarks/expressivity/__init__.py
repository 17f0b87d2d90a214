"""Which pairs of graphs an encoding tells apart."""
