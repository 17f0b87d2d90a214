"""Attention over the edges of a graph or over all its node pairs, each as a readable reference and a fast path."""

from graphpe.models.attention.dense import dense_attention
from graphpe.models.attention.edge_list import edge_attention, edge_attention_reference
from graphpe.models.attention.layout import PaddedLayout, PairList, padded_layout, pair_list

__all__ = [
    "PaddedLayout",
    "PairList",
    "dense_attention",
    "edge_attention",
    "edge_attention_reference",
    "padded_layout",
    "pair_list",
]
