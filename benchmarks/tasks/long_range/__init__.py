"""Tasks whose answer is far away, at a distance that is chosen."""
