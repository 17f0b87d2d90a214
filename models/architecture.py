"""The base of an architecture of one's own: what tasks, runs and grids ask of one, with what most say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts
from graphpe.calls import parameters_of
from graphpe.models.layers.heads import READOUTS, Readout
from graphpe.models.layers.precision import in_half_precision
from graphpe.models.layers.text import call_text

_GIVEN = ("node_encoder", "edge_encoder", "encodings", "pair_encodings", "positions", "head")


class Architecture(nn.Module, ABC):
    """Base of a model that `graphpe train`, `grid` and `predict` take: `--import my_model --model "MyModel(width=32)"`.

    A subclass has keyword arguments that are literals, stores each under its name (`layers` may be the `ModuleList` of
    so many), passes the others on, and defines `forward`. `repr` is the call that builds it, which runs compare. One
    that takes encodings of pairs has the arguments `pair_encodings` and `heads`, and gives these `PairBias` and
    `PairTerms` modules to `M.all_pairs_of`.

    Example:
        >>> from torch_geometric.nn import GCNConv
        >>> class Plain(M.Architecture):
        ...     def __init__(self, *, layers=2, **ends):
        ...         super().__init__(**ends)
        ...         self.layers = torch.nn.ModuleList(GCNConv(self.width, self.width) for _ in range(layers))
        ...     def forward(self, batch):
        ...         members, edge_index, x = M.read_nodes(self, batch)
        ...         for layer in self.layers:
        ...             x = x + layer(x, edge_index).relu()
        ...         return self.head(M.pool(x, members, self.readout))
        >>> Plain(width=16, node_encoder=M.LinearNodes(3, 16), head=torch.nn.Linear(16, 1))
        Plain(layers=2, width=16, readout='mean')

    Args:
        width: Width D of node and edge embeddings.
        readout: Pooling over the nodes of a graph: `mean`, `sum`, `max`; `none` for node-level output.
        node_encoder: From a batch to node embeddings `[N, width]`.
        edge_encoder: From a batch to edge embeddings `[E, width]`, or None where edges carry nothing.
        encodings: Modules from a batch to `[N, width]`, added to the node embeddings.
        head: From `[B, width]` (`[N, width]` with `readout="none"`) to the output; None for the embeddings themselves.

    Raises:
        GraphPETypeError: If the width is no integer.
        GraphPEValueError: If it is not positive, or the readout is unknown.
    """

    pair_input: ClassVar[Literal["features", "biases"]] = "biases"
    pair_diagonals: ClassVar[bool] = False

    def __init__(
        self,
        *,
        width: int = 64,
        readout: Readout = "mean",
        node_encoder: nn.Module,
        edge_encoder: nn.Module | None = None,
        encodings: Sequence[nn.Module] = (),
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        (self.width,) = check_counts(width=width)
        check_choice("readout", readout, READOUTS)
        self.readout: Readout = readout
        self.node_encoder = node_encoder
        self.edge_encoder = edge_encoder
        self.encodings = nn.ModuleList(encodings)
        self.head = head if head is not None else nn.Identity()

    @property
    def attention_layout(self) -> str:
        """What attention or messages run over."""
        return "edges"

    @property
    def attends_to_all_pairs(self) -> bool:
        """Whether every node attends to every node of its graph."""
        return False

    @abstractmethod
    def forward(self, batch: Data) -> Tensor:
        """The head's output: `self.head(M.pool(x, members, self.readout))` for node embeddings x.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph.
        """

    @in_half_precision
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*args, **kwargs)

    def __repr__(self) -> str:
        return call_text(self, [name for name in parameters_of(type(self)) if name not in _GIVEN])
