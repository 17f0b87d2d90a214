"""Pretraining: a model learns to predict encodings of its graphs, which need no labels."""
