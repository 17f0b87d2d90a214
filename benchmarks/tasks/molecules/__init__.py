"""Tasks on molecules."""
