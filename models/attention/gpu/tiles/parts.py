"""What kernels of softmax attention read in tiles: where a block is, rows of nodes, numbers of pairs; logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphpe.compiled.kernel import Part

if TYPE_CHECKING:
    import triton.language as tl  # there when a kernel is launched


@Part
def block_at(
    block: tl.tensor,
    graph_ptr: tl.tensor,
    node_ptr: tl.tensor,
    pair_ptr: tl.tensor,
    first_ptr: tl.tensor,
    SIZE: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor, tl.tensor, tl.tensor]:
    """Of a block of nodes: first node and first pair of its graph, nodes of that, and its first node among those."""
    graph = tl.load(graph_ptr + block)
    start = tl.load(node_ptr + graph)
    n = (tl.load(node_ptr + graph + 1) - start).to(tl.int32)
    low = ((block - tl.load(first_ptr + graph)) * SIZE).to(tl.int32)
    return start, tl.load(pair_ptr + graph), n, low


@Part
def rows_of(
    ptr: tl.tensor, stride: tl.tensor, i: tl.tensor, n: tl.tensor, C: tl.constexpr, WIDE: tl.constexpr
) -> tl.tensor:
    """Rows of nodes, `[len(i), WIDE]`; zero from node n and from column C on."""
    c = tl.arange(0, WIDE)
    return tl.load(ptr + i[:, None] * stride + c[None, :], mask=(i < n)[:, None] & (c < C)[None, :], other=0.0)


@Part
def store_rows(
    ptr: tl.tensor,
    stride: tl.tensor,
    i: tl.tensor,
    n: tl.tensor,
    rows: tl.tensor,
    C: tl.constexpr,
    WIDE: tl.constexpr,
) -> None:
    """Rows of nodes back into memory, but for node n and column C and what follows."""
    c = tl.arange(0, WIDE)
    mask = (i < n)[:, None] & (c < C)[None, :]
    tl.store(ptr + i[:, None] * stride + c[None, :], rows.to(ptr.dtype.element_ty), mask=mask)


@Part
def of_pairs(
    ptr: tl.tensor,
    pair: tl.tensor,
    at: tl.tensor,
    real: tl.tensor,
    h: tl.tensor,
    H: tl.constexpr,
    ABSENT: tl.constexpr,
) -> tl.tensor:
    """Numbers of pairs in rows `[P, H]`, of a tile whose first is `pair`; `ABSENT` where there are no rows."""
    numbers = tl.full(at.shape, ABSENT, tl.float32)
    if ptr is not None:
        numbers = tl.load(ptr + pair * H + h + at * H, mask=real, other=ABSENT).to(tl.float32)
    return numbers


@Part
def relations_of(ptr: tl.tensor, pair: tl.tensor, at: tl.tensor, real: tl.tensor) -> tl.tensor:
    """Relations of the pairs of a tile; -1 where there is none."""
    return tl.load(ptr + pair + at, mask=real, other=-1).to(tl.int32)


@Part
def of_relations(
    relation_ptr: tl.tensor,
    table_ptr: tl.tensor,
    relations: tl.tensor,
    pair: tl.tensor,
    at: tl.tensor,
    real: tl.tensor,
    h: tl.tensor,
    H: tl.constexpr,
    ABSENT: tl.constexpr,
) -> tl.tensor:
    """Numbers of the pairs' relations from a table `[R, H]`; `ABSENT` where there is no table."""
    numbers = tl.full(at.shape, ABSENT, tl.float32)
    if table_ptr is not None:
        row = relations_of(relation_ptr, pair, at, real)
        known = (row >= 0) & (row < relations)
        numbers = tl.load(table_ptr + row * H + h, mask=known, other=ABSENT).to(tl.float32)
    return numbers


@Part
def products_of(
    left_ptr: tl.tensor,
    right_ptr: tl.tensor,
    stride: tl.tensor,
    i: tl.tensor,
    j: tl.tensor,
    n: tl.tensor,
    K: tl.constexpr,
) -> tl.tensor:
    """Products of K columns of two rows each: differences of large numbers, as distances are, in float32 always."""
    product = tl.zeros([i.shape[0], j.shape[0]], tl.float32)
    for c in range(K):
        left = tl.load(left_ptr + i * stride + c, mask=i < n, other=0.0).to(tl.float32)
        right = tl.load(right_ptr + j * stride + c, mask=j < n, other=0.0).to(tl.float32)
        product += left[:, None] * right[None, :]
    return product


@Part
def logits_of(
    q: tl.tensor,
    k: tl.tensor,
    left_ptr: tl.tensor,
    right_ptr: tl.tensor,
    add_ptr: tl.tensor,
    relation_ptr: tl.tensor,
    table_ptr: tl.tensor,
    relations: tl.tensor,
    i: tl.tensor,
    j: tl.tensor,
    n: tl.tensor,
    pair: tl.tensor,
    at: tl.tensor,
    real: tl.tensor,
    h: tl.tensor,
    H: tl.constexpr,
    C: tl.constexpr,
    K: tl.constexpr,
    PRECISION: tl.constexpr,
) -> tl.tensor:
    """Logits of a tile; keys and queries may change places, with their factors and nodes."""
    logit = tl.dot(q, tl.trans(k), input_precision=PRECISION) * C**-0.5
    if K:
        logit += products_of(left_ptr, right_ptr, H * K, i, j, n, K)
    if add_ptr is not None:
        logit += of_pairs(add_ptr, pair, at, real, h, H, 0.0)
    if table_ptr is not None:
        logit += of_relations(relation_ptr, table_ptr, relations, pair, at, real, h, H, 0.0)
    return logit
