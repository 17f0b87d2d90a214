"""Layers of few rows on a GPU, where a step waits for launches: what lies between two products as one kernel each."""
