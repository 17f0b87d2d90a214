"""Tasks whose graphs are generated."""
