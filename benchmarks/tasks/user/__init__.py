"""Tasks on a user's own data."""
