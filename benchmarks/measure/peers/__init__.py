"""Published algorithms as they were released, from their formulas: what ours is measured against."""
