"""Triplet attention as formulas, and in blocks of rows: for all devices and precisions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint as recomputed

from graphpe.models.attention.triplet.triplets import Triplets

_AT_ONCE = 1 << 22
"""Numbers of triplets times channels that a block has at most, unless one row of each graph has more."""


def triplet_attention_reference(
    query: Tensor, key: Tensor, left: Tensor, right: Tensor, triplets: Triplets, *, heads: int, dropout: float = 0.0
) -> Tensor:
    """The formulas, one line each, over a list of all triplets; the signature of `triplet_attention`.

    Takes O(sum n^3 D) memory.

    Args:
        query: q of the pairs, `[P, D]`.
        key: k, `[P, D]`.
        left: u, `[P, D]`.
        right: v, `[P, D]`.
        triplets: The triplets.
        heads: Number of heads; divides D.
        dropout: Probability of dropout on weights.
    """
    il, lj, ij = triplet_rows(triplets)
    split = (heads, query.shape[1] // heads)
    q, k, u, v = (x.unflatten(1, split) for x in (query, key, left, right))  # [P, H, C]
    weight = _softmax((exact(q[il]) * exact(k[lj])).sum(-1) * split[1] ** -0.5, ij, len(query))  # [T, H]
    weight = functional.dropout(weight, dropout)
    message = weight.unsqueeze(-1) * u[il] * v[lj]
    return message.new_zeros(q.shape).index_add(0, ij, message).flatten(1).to(query.dtype)


def triplet_rows(triplets: Triplets) -> tuple[Tensor, Tensor, Tensor]:
    """The rows of (i, l), of (l, j) and of (i, j) of every triplet, `[sum n^3]` each.

    Args:
        triplets: The triplets.
    """
    pairs, sizes = triplets.pairs, triplets.members.sizes.index_select(0, triplets.members.graph)
    length = sizes.index_select(0, pairs.target)
    ij = torch.arange(pairs.num_pairs, device=length.device).repeat_interleave(length)
    middle = torch.arange(len(ij), device=length.device) - (length.cumsum(0) - length).index_select(0, ij)
    il = pairs.ptr.index_select(0, pairs.target.index_select(0, ij)) + middle
    place = torch.arange(pairs.num_pairs, device=length.device) - pairs.ptr.index_select(0, pairs.target)
    lj = pairs.ptr.index_select(0, pairs.source.index_select(0, il)) + place.index_select(0, ij)
    return il, lj, ij


def attend_in_blocks(
    query: Tensor, key: Tensor, left: Tensor, right: Tensor, triplets: Triplets, *, heads: int, dropout: float = 0.0
) -> Tensor:
    """Triplet attention of some rows i of each graph at a time, computed again in the backward pass: O(P D) memory.

    Graphs are padded in groups by size. Nothing waits for a device whose batch tells its sizes on the host, and what
    dropout drops is computed again from numbers of the pairs, not from the state of a generator: CUDA captures that.
    While `torch.compile` traces, all rows are one block.

    Args:
        query: q of the pairs, `[P, D]`.
        key: k, `[P, D]`.
        left: u, `[P, D]`.
        right: v, `[P, D]`.
        triplets: The triplets.
        heads: Number of heads; divides D.
        dropout: Probability of dropout on weights.
    """
    if not triplets.blocks.nodes.blocks:
        return query + key + left + right  # no row
    width, parts = query.shape[1], []
    split = [triplets.blocks.split(x.unflatten(1, (heads, -1))) for x in (query, key, left, right)]
    for block, q, k, u, v in zip(triplets.blocks.nodes.blocks, *split, strict=True):
        mask = block.key_mask.view(block.graphs, 1, block.size, 1, 1)  # of l
        drawn = _draw(q) if dropout else None
        if torch.compiler.is_compiling():
            rows = [_rows(q, k, u, v, mask, drawn, dropout)]
        else:
            step = max(1, _AT_ONCE // (block.graphs * block.size**2 * width))
            starts = range(0, block.size, step)
            own = [None if drawn is None else (drawn[0][:, a : a + step], drawn[1]) for a in starts]
            sides = zip(q.split(step, dim=1), u.split(step, dim=1), own, strict=True)
            rows = [_maybe_again(a, k, b, v, mask, each, dropout) for a, b, each in sides]
        parts.append(torch.cat(rows, dim=1).flatten(3))
    return triplets.blocks.join(parts)


Drawn = tuple[Tensor, Tensor] | None


def _draw(q: Tensor) -> tuple[Tensor, Tensor]:
    """A random int32 of each pair and head of a block `[b, n, n, H]`, as (i, l), and one as (l, j)."""
    shape = q.shape[:-1]
    first, second = (torch.randint(-(1 << 31), 1 << 31, shape, dtype=torch.int32, device=q.device) for _ in range(2))
    return first, second


def kept(il: Tensor, lj: Tensor, dropout: float) -> Tensor:
    """Which weights of triplets stay, `[b, r, l, j, H]`: each with probability 1 - dropout.

    x = a_il + b_lj modulo 2^32 is uniform, for any two triplets independently, and x + 2 x^2 takes every value once; it
    also breaks the sums of x around (i, l, j), (i', l, j), (i', l, j'), (i, l, j'), which are one of the others'.

    Args:
        il: A random int32 of each pair (i, l), `[b, r, l, H]`.
        lj: A random int32 of each pair (l, j), `[b, l, j, H]`.
        dropout: Probability of dropout.
    """
    x = il.unsqueeze(3) + lj.unsqueeze(1)
    return torch.addcmul(x, x, x, value=2) >= min(round(dropout * 2**32), 2**32 - 1) - 2**31


def _maybe_again(q: Tensor, k: Tensor, u: Tensor, v: Tensor, mask: Tensor, drawn: Drawn, dropout: float) -> Tensor:
    if not torch.is_grad_enabled():
        return _rows(q, k, u, v, mask, drawn, dropout)
    return recomputed(_rows, q, k, u, v, mask, drawn, dropout, use_reentrant=False, preserve_rng_state=False)


def _rows(q: Tensor, k: Tensor, u: Tensor, v: Tensor, mask: Tensor, drawn: Drawn, dropout: float) -> Tensor:
    """The result of rows i `[b, r, n, H, C]`, from their q and u, of the same shape, and k and v `[b, n, n, H, C]`."""
    weight = _weights(q, k, mask)
    if drawn is not None:
        weight = weight * kept(*drawn, dropout) * (1 / (1 - dropout) if dropout < 1 else 0.0)
    message = weight.to(v.dtype).unsqueeze(-1) * u.unsqueeze(3) * v.unsqueeze(1)
    return message.sum(dim=2)


def noted_weights(query: Tensor, key: Tensor, triplets: Triplets, heads: int) -> Tensor:
    """The weight of each pair (i, l) in a head, `[P, H]`: the mean over j, whose sum over l is 1.

    Args:
        query: q of the pairs, `[P, D]`.
        key: k, `[P, D]`.
        triplets: The triplets.
        heads: Number of heads.
    """
    with torch.no_grad():
        found = []
        split = [triplets.blocks.split(x.unflatten(1, (heads, -1))) for x in (query, key)]
        for block, q, k in zip(triplets.blocks.nodes.blocks, *split, strict=True):
            rows = [_weights(row, k, block.key_mask.view(block.graphs, 1, -1, 1, 1)) for row in q.split(1, 1)]
            real = (block.key_mask == 0).view(block.graphs, 1, 1, -1, 1)  # of j
            found.append(torch.cat([(row * real).sum(3) / real.sum(3) for row in rows], dim=1))
        return triplets.blocks.join(found) if found else query.new_zeros(0, heads)


def _weights(q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
    """Weights `[b, r, l, j, H]` of rows i."""
    logit = torch.einsum("brlhc,bljhc->brljh", exact(q), exact(k)) * q.shape[-1] ** -0.5
    return (logit + mask).softmax(dim=2)


def exact(x: Tensor) -> Tensor:
    """`x` in at least float32.

    Args:
        x: The tensor.
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _softmax(logit: Tensor, of: Tensor, pairs: int) -> Tensor:
    """Softmax over the triplets of one pair, `[T, H]`."""
    place = of.unsqueeze(1).expand_as(logit)
    top = logit.new_zeros(pairs, logit.shape[1]).scatter_reduce(0, place, logit.detach(), "amax", include_self=False)
    weight = (logit - top.index_select(0, of)).exp()
    total = weight.new_zeros(pairs, weight.shape[1]).index_add(0, of, weight)
    return weight / total.index_select(0, of)
