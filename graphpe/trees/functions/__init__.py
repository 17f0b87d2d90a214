"""Functions of distance that trees integrate."""
