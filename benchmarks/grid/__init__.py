"""The grid of tasks, encodings and models: its cells, how they are run, and the report of what came out."""
