"""The arrays that the compiled passes of GRIT's layer take and write, by name.

N nodes, P pairs, D channels, H heads of C channels. Flat arrays of nodes are `[N D]`, rows of pairs `[P, D]`.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Layer(NamedTuple):
    """What both passes read: pairs, rows and parameters.

    Attributes:
        source: Node j of each pair, `[P]`.
        ptr: First pair that ends in each node, `[N + 1]`.
        z: Rows of pairs.
        query: q, flat.
        key: k, flat.
        value: v, flat.
        w_scale: W_s, `[D, D]`, from the left's channels to the right's.
        w_feature: W_f, the same.
        bias: b_s and b_f, `[2 D]`.
        score: A, `[D]`.
        keep: Which weights dropout keeps, `[P H]`; empty for all.
        keep_scale: What the kept ones are multiplied by.
        bound: What logits are clamped to.
    """

    source: Any
    ptr: Any
    z: Any
    query: Any
    key: Any
    value: Any
    w_scale: Any
    w_feature: Any
    bias: Any
    score: Any
    keep: Any
    keep_scale: Any
    bound: Any


class Update(NamedTuple):
    """How the rows of pairs are updated, out = scale z + shift + W_out f; empty arrays where they are not.

    Attributes:
        weight: W_out, `[D, D]`: forward from the left's channels to the right's, backward as in a linear layer.
        scale: `[D]`.
        shift: `[D]`; not read backward.
        drop: Which numbers of f dropout keeps, `[P D]`; empty for all.
        drop_scale: What the kept ones are multiplied by.
    """

    weight: Any
    scale: Any
    shift: Any
    drop: Any
    drop_scale: Any


class Products(NamedTuple):
    """Products with z, and room for them.

    Attributes:
        scale: W_s z + b_s: rows for all pairs if `stored`, else for one block.
        feature: f, the same.
        stored: Whether they are there for all pairs.
        block_size: Pairs of a block.
    """

    scale: Any
    feature: Any
    stored: Any
    block_size: Any


class Sums(NamedTuple):
    """What the forward pass writes.

    Attributes:
        logit: `[P H + C]`: room for C more numbers.
        weight_sum: The sum of the weights of each node, `[N H]`.
        message: The sum of weight times value, flat.
        edge_message: The sum of weight times f, flat.
        out: The updated rows of pairs.
        mean: Mean of the rows of `out`, float64 `[D]`, or empty.
        square: The sum of squared distances to it, float64 `[D]`, or empty.
    """

    logit: Any
    weight_sum: Any
    message: Any
    edge_message: Any
    out: Any
    mean: Any
    square: Any


class Upstream(NamedTuple):
    """What the backward pass starts from. The gradient of `out` is `grad_out` + `out_slope` `out` + `out_offset`.

    Attributes:
        logit: As the forward pass left it.
        sum_inverse: 1 over the sum of the weights of each node, `[N H]`; 0 for none.
        grad_message: Flat.
        grad_edge_message: Flat.
        mean_grad: The mean of the gradients of a node's weights under these weights, `[N H]`.
        grad_out: `[P, D]`.
        out: As the forward pass left it.
        out_slope: `[D]`.
        out_offset: `[D]`.
    """

    logit: Any
    sum_inverse: Any
    grad_message: Any
    grad_edge_message: Any
    mean_grad: Any
    grad_out: Any
    out: Any
    out_slope: Any
    out_offset: Any


class Gradients(NamedTuple):
    """What the backward pass writes (the rows of `z`) and adds to (all others).

    Attributes:
        z: `[P, D]`.
        query: Flat.
        key: Flat.
        value: Flat.
        weight: Of W_s over W_f, `[2 D, D]`.
        w_out: `[D, D]` as in a linear layer.
        bias: Float64 `[2 D]`.
        score: Float64 `[D]`.
        scale: Float64 `[D]`.
        shift: Float64 `[D]`.
    """

    z: Any
    query: Any
    key: Any
    value: Any
    weight: Any
    w_out: Any
    bias: Any
    score: Any
    scale: Any
    shift: Any
