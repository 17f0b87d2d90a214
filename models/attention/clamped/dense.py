"""Clamped softmax attention over all node pairs of each graph, in padded blocks.

The formulas are those of `graphpe.models.attention.clamped.edge_list` over the complete graph with self-loops. Shape
legend: N nodes, E edges, D channels, H heads, C = D / H; a block holds b graphs padded to n nodes.

Without edge features the scores of a block are one batched product of queries and keys. With features that are used in
the score only, pair (i, j) has the factor

    p_ij = sum of edge_e over the edges e: j -> i, or `absent` if there is none,

so that, with m_ij parallel edges on the pair,

    sum_c q_ic k_jc p_ijc = sum_c (q_ic absent_c) k_jc + sum_e sum_c q_ic k_jc (edge_ec - absent_c / m_ij):

a batched product plus a correction at the edges, and nothing of size [pairs, D]. Kernels for scaled dot products cannot
be used for either: the published score is clamped before the softmax.
"""

from __future__ import annotations

import torch
from torch import Tensor

from graphpe.errors import GraphPEValueError
from graphpe.models.attention.clamped.edge_list import CLAMP
from graphpe.models.attention.padding import PaddedLayout
from graphpe.models.attention.recording import note_blocks, recording
from graphpe.models.attention.shapes import check_attention, check_shapes


def dense_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: PaddedLayout,
    edge: Tensor | None = None,
    absent: Tensor | None = None,
    *,
    heads: int,
) -> Tensor:
    """Attention of each node over all nodes of its graph, itself included. Returns `[N, D]`.

    Costs O(sum of b n^2 D) time and about four tensors `[b, H, n, n]` a block. Its reference is
    `edge_attention_reference` over `all_pairs`.

    Args:
        query: `[N, D]`.
        key: `[N, D]`.
        value: `[N, D]`.
        layout: Blocks of the batch, built for the same number of heads.
        edge: Factor of each real edge's score, `[E, D]`; None for a factor of 1 on every pair.
        absent: Factor of a pair without an edge, `[D]`; given together with `edge`.
        heads: Number of heads; divides D, and is that of the layout.

    Raises:
        GraphPEValueError: A shape is another.
    """
    width = check_attention(query, key, value, layout.place.numel(), heads)
    flat = None if absent is None else absent.flatten()
    check_shapes(edge=(edge, (layout.edge_index.shape[1], width)), absent=(flat, (width,)))
    if layout.num_places != heads * sum(block.graphs * block.size**2 for block in layout.blocks):
        raise GraphPEValueError(f"the layout was built for another number of heads than {heads}")
    channels = width // heads
    exact = torch.promote_types(query.dtype, torch.float32)
    corrections = None
    if edge is not None and absent is not None:
        corrections = _edge_correction(query, key, layout, edge, absent, heads).split(
            [block.graphs * heads * block.size**2 for block in layout.blocks]
        )
        query = query * absent
    query = query * channels**-0.5

    # One gather, and `split` into blocks: the gradients of separate slices would each be as large as the whole.
    lengths = [block.graphs * block.size for block in layout.blocks]
    padded = [x.index_select(0, layout.node).split(lengths) for x in (query, key, value)]
    outputs, noted = [], []
    for index, block in enumerate(layout.blocks):
        b, n = block.graphs, block.size
        q, k, v = (x[index].view(b, n, heads, channels).transpose(1, 2) for x in padded)  # [b, H, n, C]
        logits = torch.matmul(q, k.transpose(2, 3)).to(exact)  # [b, H, n, n]
        # In place where the backward pass allows it: these are the largest tensors.
        if corrections is not None:
            logits.add_(corrections[index].view(b, heads, n, n))
        weight = torch.softmax(logits.clamp(-CLAMP, CLAMP).add_(block.key_mask), dim=-1)
        if recording():
            noted.append(weight)
        outputs.append(torch.matmul(weight.to(v.dtype), v).transpose(1, 2).reshape(b * n, width))
    if not outputs:  # not one node
        return value
    if recording():
        note_blocks(noted, layout.node, layout.place)
    return torch.cat(outputs).index_select(0, layout.place)


def _edge_correction(
    query: Tensor,
    key: Tensor,
    layout: PaddedLayout,
    edge: Tensor,
    absent: Tensor,
    heads: int,
) -> Tensor:
    """What edges add to the scores of their pairs, in the concatenation of all blocks' scores, `[num_places]`."""
    channels = query.shape[1] // heads
    exact = torch.promote_types(query.dtype, torch.float32)
    source, target = layout.edge_index[0], layout.edge_index[1]
    product = query.index_select(0, target).to(exact) * key.index_select(0, source).to(exact)
    factor = edge.to(exact) - absent.to(exact) / layout.multiplicity.unsqueeze(1)
    score = (product * factor).view(-1, heads, channels).sum(-1) * channels**-0.5  # [E, H]
    head = torch.arange(heads, device=query.device)
    place = layout.offset.unsqueeze(1) + head * layout.head_stride.unsqueeze(1)  # [E, H]
    return score.new_zeros(layout.num_places).index_add(0, place.flatten(), score.flatten())
