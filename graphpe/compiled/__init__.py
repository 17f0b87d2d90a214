"""Loops that numba compiles: how, on how many threads, and the vectors that they work on."""
