"""Files: written whole or not at all, locked, and read without running what is in them."""
