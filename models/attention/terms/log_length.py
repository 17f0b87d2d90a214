"""Logits that grow with the logarithm of the number of keys."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_counts, check_divides, check_flags, check_positive
from graphpe.models.attention.positions.node_positions import Attending, NodePositions
from graphpe.models.layers.precision import exactly


class LogLength(NodePositions):
    """Logits times s_h log n, with n the number of keys of the graph and s learned, one a head.

        logit_ij = s_h log(n) q_i . k_j / sqrt(C)

    A softmax over n keys whose logits are bounded spreads out as n grows; with logits that grow with log n the largest
    weight keeps its size. `scale=1, learned=False` is Chiang & Cholak 2022 (arXiv:2202.12172), learned s Scalable
    Softmax (Nakanishi 2025, arXiv:2501.19399), where every layer has its own; here the heads of all layers share them.
    Nodes of one graph have one n, extra nodes counted: in a sequence of n tokens, attended both ways, that is the
    formula (causal attention of the second paper has n = i for token i); in attention along edges n is still that of
    the graph. n = 1 needs no care: the weight of the only key is 1 whatever its logit is. What biases and terms of
    pairs add is not scaled. The default s is about 1 / log 28: graphs of the size of molecules start with logits as
    they are without it.

    Invariant to the numbering of nodes. O(N D) time; H parameters. Linear attention has no logits, and refuses it.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]), x=torch.randn(5, 3))
        >>> positions = M.LogLength(4, 16)
        >>> M.GPS(width=16, layers=1, node_encoder=M.LinearNodes(3, 16), positions=[positions])(data).shape
        torch.Size([1, 16])

    Args:
        heads: Number H of heads; divides `width`.
        width: Width D of the queries.
        scale: s at the start; positive.
        learned: Whether s is trained.

    Raises:
        GraphPEValueError: If an argument is out of range.
    """

    linear = False

    def __init__(self, heads: int, width: int, *, scale: float = 0.3, learned: bool = True) -> None:
        super().__init__()
        self.heads, width = check_counts(heads=heads, width=width)
        check_divides(self.heads, width)
        (scale,) = check_positive(scale=scale)
        (learned,) = check_flags(learned=learned)
        self.scale = nn.Parameter(torch.full((self.heads,), scale), requires_grad=learned)

    def prepare(self, batch: Data, nodes: Attending) -> Tensor:
        """The logarithm of n of each row, `[N]`.

        Args:
            batch: Not used.
            nodes: The nodes as they attend, and their graphs.
        """
        del batch
        members = nodes.members if nodes.extended is None else nodes.extended
        dtype = torch.promote_types(self.scale.dtype, torch.float32)
        return members.sizes.clamp(min=1).to(dtype).log().index_select(0, members.graph)

    def transform(
        self, query: Tensor, key: Tensor, value: Tensor, prepared: Any, x: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries times s_h log n.

        Args:
            query: Queries, `[N, D]`.
            key: Keys, `[N, D]`.
            value: Values, `[N, D]`.
            prepared: log n of each row.
            x: Not used.
        """
        del x
        factor = prepared.unsqueeze(1) * exactly(self.scale)
        scaled = exactly(query).unflatten(1, (self.heads, -1)) * factor.unsqueeze(2)
        return scaled.flatten(1).to(query.dtype), key, value
