"""A sequence encoder of the paths from the root of a tree."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_counts
from graphpe.errors import GraphPEValueError
from graphpe.models.batches.ids import check_ids
from graphpe.models.batches.reading import read_encoding
from graphpe.models.layers.precision import in_half_precision


class TreePathEncoding(nn.Module):
    """A small recurrent network over the path to each node, `batch[key]` `[N, max_depth]` of `T.TreePathPE`.

        x_t = E[c_t] + L[t],    r, z = sigmoid of (A x_t + B h_(t-1)), a gate each
        h_0 = 0,    h_t = (1 - z) tanh(A' x_t + r (B' h_(t-1))) + z h_(t-1),    out = W h_d + b

    for the path (c_1, ..., c_d, 0, ..., 0): a gated recurrent unit over rows of the tables E of children and L of
    levels (maps with biases), and its state after the last step of the path. Zeros behind it change nothing: further
    columns of them give the same result, and a root, whose path is empty, has h_0. Nodes with a common ancestor share
    the states of the steps to it.

    Symmetry: a node's result depends on its own path only, so that reordering the nodes reorders the result; for what
    the paths themselves depend on, see `T.TreePathPE`. W starts at zero: training starts from the model without the
    encoding. Cost: O(N max_depth hidden^2), max_depth steps one after the other.

    Differs from PosFormer (Guan et al. 2024, arXiv:2407.07764), which predicts identifiers of positions as a second
    task, and from SeqPE (Li et al. 2025, arXiv:2506.13277), whose encoder of digits is a causal transformer, trained
    with two more losses: here a recurrent network is trained with the task.

    Example:
        >>> tree = Data(edge_index=torch.tensor([[0, 0, 2, 2, 4], [1, 2, 3, 4, 5]]), num_nodes=6)
        >>> data = T.TreePathPE(max_depth=3, max_children=4)(tree)
        >>> M.TreePathEncoding("tree_path_pe", 3, 4, 16)(data).shape
        torch.Size([6, 16])

    Args:
        key: Name of the paths in the batch.
        max_depth: Their number of columns.
        max_children: The largest number of a child.
        width: Width of the result.
        hidden: Width of the network's state.

    Raises:
        GraphPEValueError: If a size is not positive; in `forward` if the batch has no integers of that name with that
            many columns, or (on the CPU) one that is out of range.
    """

    def __init__(self, key: str, max_depth: int, max_children: int, width: int, *, hidden: int = 32) -> None:
        super().__init__()
        max_depth, max_children, width, hidden = check_counts(
            max_depth=max_depth, max_children=max_children, width=width, hidden=hidden
        )
        self.key = key
        self.max_depth = max_depth
        self.max_children = max_children
        self.hidden = hidden
        self.child = nn.Embedding(max_children + 1, hidden)  # row 0 is that of padding, whose steps are not read
        self.level = nn.Parameter(torch.randn(max_depth, hidden))
        self.of_input = nn.Linear(hidden, 3 * hidden)  # to r, z and what tanh is of
        self.of_state = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The encoding at the model's width, `[num_nodes, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the paths under `key`.
        """
        path = read_encoding(batch, self.key, self.max_depth)
        if path.is_floating_point() or path.is_complex():
            raise GraphPEValueError(f"batch.{self.key} holds {path.dtype}, not the integers of T.TreePathPE")
        check_ids(path, [self.max_children + 1] * self.max_depth, f"batch.{self.key}")
        inputs = self.of_input(self.child(path) + self.level)  # [N, max_depth, 3 hidden]
        state = inputs.new_zeros(path.shape[0], self.hidden)
        for step, there in enumerate((path > 0).unsqueeze(2).unbind(1)):
            reset, update, new = inputs[:, step].chunk(3, dim=1)
            own_reset, own_update, own_new = self.of_state(state).chunk(3, dim=1)
            new = torch.tanh(new + torch.sigmoid(reset + own_reset) * own_new)
            update = torch.sigmoid(update + own_update)
            state = torch.where(there, (1 - update) * new + update * state, state)
        return self.out(state)

    def __repr__(self) -> str:
        return f"TreePathEncoding(hidden={self.hidden})"
