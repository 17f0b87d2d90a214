"""The base of encodings that a model makes itself."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn
from torch_geometric.data import Data


class LearnedEncoding(nn.Module, ABC):
    """An encoding of nodes that a model makes of the graphs themselves: nothing is computed before, and nothing stored.

    On the command line it stands among the encodings: `--encodings "PEARLEncoding(samples=8)"`. A subclass takes
    `width`, and `nodes` where it needs embeddings of the node features (a module from a batch to `[N, width]`, which
    the task gives); its other arguments are literals, stored under their names.

    Example:
        >>> class DegreeEncoding(M.LearnedEncoding):
        ...     def __init__(self, width):
        ...         super().__init__()
        ...         self.linear = torch.nn.Linear(1, width)
        ...     def forward(self, batch):
        ...         degree = batch.edge_index[1].bincount(minlength=batch.num_nodes)
        ...         return self.linear(degree.log1p().unsqueeze(1))
        >>> path = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=3)
        >>> DegreeEncoding(width=8)(path).shape
        torch.Size([3, 8])
    """

    @abstractmethod
    def forward(self, batch: Data) -> Tensor:
        """The encoding at the model's width, `[num_nodes, width]`, in the batch's order of nodes.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph.
        """
