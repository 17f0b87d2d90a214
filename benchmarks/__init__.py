"""Tasks, training, the command line, and speed measurements."""
