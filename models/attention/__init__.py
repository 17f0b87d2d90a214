"""Attention over the edges of a graph or over all its node pairs, each as a readable reference and a fast path."""

from graphpe.models.attention.dense import dense_attention
from graphpe.models.attention.edge_list import edge_attention, edge_attention_reference
from graphpe.models.attention.layout import PaddedLayout, padded_layout
from graphpe.models.attention.pairs import PairSet, all_pairs, edge_pairs

__all__ = [
    "PaddedLayout",
    "PairSet",
    "all_pairs",
    "dense_attention",
    "edge_attention",
    "edge_attention_reference",
    "edge_pairs",
    "padded_layout",
]
