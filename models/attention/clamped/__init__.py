"""Attention with clamped scores over edges (Dwivedi and Bresson)."""
