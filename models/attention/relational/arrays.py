"""The arrays that the compiled passes of relational attention and of the update of pairs take and write, by name.

N nodes, P pairs, D channels of a pair, H heads of C channels, a multiple of eight; F and G hidden channels. Arrays of
nodes and weights are flat.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Layer(NamedTuple):
    """What both passes of the attention read.

    Attributes:
        source: Node j of each pair, `[P]`.
        ptr: First pair that ends in each node, `[N + 1]`.
        pair: Rows of pairs, `[P, D]`.
        query: `[N H C]`.
        key: `[N H C]`.
        value: `[N H C]`.
        maps: The maps of pairs to queries and keys, `[D, 2 H C]`.
        scale: 1 / sqrt(channels of a head).
    """

    source: Any
    ptr: Any
    pair: Any
    query: Any
    key: Any
    value: Any
    maps: Any
    scale: Any


class Kept(NamedTuple):
    """What the forward pass writes for the backward pass.

    Attributes:
        stored: Whether the pairs' products with `maps` are kept.
        mapped: These, `[P, 2 H C]`, or empty.
        weight: Weights, `[P H]`.
    """

    stored: Any
    mapped: Any
    weight: Any


class Upstream(NamedTuple):
    """What the backward pass starts from.

    Attributes:
        message: The gradient of the sums of weight times value, `[N H C]`.
        gathered: The gradient of the sums of weight times pair, `[N H D]`.
        mean_slope: The sum of weight times its gradient over the pairs of a node, `[N H]`.
    """

    message: Any
    gathered: Any
    mean_slope: Any


class Gradients(NamedTuple):
    """What the backward pass writes (`query`, `pair`) and adds to (`key`, `value`, `maps`); shapes as in `Layer`."""

    query: Any
    key: Any
    value: Any
    pair: Any
    maps: Any


class Ends(NamedTuple):
    """The nodes and the reverse of each pair, `[P]` each; -1 where the reverse is not in the set."""

    source: Any
    target: Any
    reverse: Any


class Weights(NamedTuple):
    """Parameters of the update as in `PairWeights`, but matrices are (in, out), hidden layers of whole registers."""

    of_pair: Any
    of_reverse: Any
    out_1: Any
    bias_1: Any
    scale_1: Any
    shift_1: Any
    hidden: Any
    hidden_bias: Any
    out_2: Any
    bias_2: Any
    scale_2: Any
    shift_2: Any


class Rows(NamedTuple):
    """What the forward pass of the update writes.

    Attributes:
        hidden_1: First hidden layer after ReLU, `[P, F]`.
        hidden_2: Second hidden layer after ReLU, `[P, G]`.
        out: The new pairs, `[P, D]`.
    """

    hidden_1: Any
    hidden_2: Any
    out: Any


class UpdateGradients(NamedTuple):
    """What the backward pass of the update writes (`pair`, `hidden`) and adds to (all others).

    Attributes:
        pair: Of pairs but through the first map, `[P, D]`.
        hidden: Of the first hidden layer, `[P, F]`.
        source: Of the nodes' term as sources, `[N F]`.
        target: As targets, `[N F]`.
        out_1: `[F, D]`.
        vectors: Of scale, shift and bias of the first normalisation, then of the second, `[6, D]`.
        hidden_map: `[G, D]`.
        hidden_bias: `[G]`.
        out_2: `[G, D]`.
    """

    pair: Any
    hidden: Any
    source: Any
    target: Any
    out_1: Any
    vectors: Any
    hidden_map: Any
    hidden_bias: Any
    out_2: Any
