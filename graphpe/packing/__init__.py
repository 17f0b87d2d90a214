"""What `graphpe.packed.PackedGraphs` is made of: selection, conversion, checks."""
