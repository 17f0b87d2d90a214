"""Sparse factors of A - shift I: on the host by SuperLU, on a CUDA device by cuDSS."""
