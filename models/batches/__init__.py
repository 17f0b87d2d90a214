"""What models read from a batch, compared when it is read."""
