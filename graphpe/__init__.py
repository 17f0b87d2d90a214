"""Graph transformers with structural encodings, for PyTorch Geometric."""
