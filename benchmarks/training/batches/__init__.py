"""What a run is fed: batches of whole graphs, or of one graph that all parts of the split share."""
