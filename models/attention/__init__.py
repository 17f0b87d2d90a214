"""Attention over the edges of a graph or over all its node pairs, each as a readable reference and a fast path."""

from graphpe.models.attention.biases.named_biases import (
    alibi_bias,
    fire_bias,
    graphormer_bias,
    graphormer_gd_bias,
    kerple_bias,
    t5_bias,
    urpe_bias,
)
from graphpe.models.attention.biases.pair_bias import PairBias
from graphpe.models.attention.biases.pair_factors import PairFactors, combine
from graphpe.models.attention.clamped.dense import dense_attention
from graphpe.models.attention.clamped.edge_list import edge_attention, edge_attention_reference
from graphpe.models.attention.padding import PaddedLayout, PaddedNodes, padded_layout, padded_nodes
from graphpe.models.attention.pairs import PairSet, all_pairs, edge_pairs
from graphpe.models.attention.positions.rotations.angles import rotate
from graphpe.models.attention.relational.attention import relational_attention, relational_attention_reference
from graphpe.models.attention.softmax.linear import Mask, PairMask, linear_attention
from graphpe.models.attention.softmax.padded_factors import PaddedFactors, pad_factors
from graphpe.models.attention.softmax.rotary import RotaryAttention
from graphpe.models.attention.softmax.softmax import softmax_attention, softmax_attention_reference
from graphpe.models.attention.softmax.tree_mask import TreeAttention, TreeMask

__all__ = [
    "Mask",
    "PaddedFactors",
    "PaddedLayout",
    "PaddedNodes",
    "PairBias",
    "PairFactors",
    "PairMask",
    "PairSet",
    "RotaryAttention",
    "TreeAttention",
    "TreeMask",
    "alibi_bias",
    "all_pairs",
    "combine",
    "dense_attention",
    "edge_attention",
    "edge_attention_reference",
    "edge_pairs",
    "fire_bias",
    "graphormer_bias",
    "graphormer_gd_bias",
    "kerple_bias",
    "linear_attention",
    "pad_factors",
    "padded_layout",
    "padded_nodes",
    "relational_attention",
    "relational_attention_reference",
    "rotate",
    "softmax_attention",
    "softmax_attention_reference",
    "t5_bias",
    "urpe_bias",
]
