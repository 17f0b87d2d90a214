"""From node embeddings to an output: pooling over graphs, and the last layers of a task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import pairwise
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from graphpe.arguments import check_choice, check_counts, check_flags, check_integer, check_probabilities
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.pairs import PairSet
from graphpe.models.batches.nodes import NodeToGraph
from graphpe.models.layers.gpu.ends.pooling import pooled, pooling_runs
from graphpe.models.layers.gpu.linear_relu import linear_relu
from graphpe.models.layers.virtual_nodes import Extended

Readout = Literal["mean", "sum", "max", "none"]
READOUTS: tuple[str, ...] = get_args(Readout)


def pool(
    x: Tensor,
    members: NodeToGraph,
    readout: Readout | Literal["virtual", "cls"],
    extended: Extended | None = None,
) -> Tensor:
    """Pool node embeddings over each graph.

    Sums are taken in float32 or better. A graph without nodes gives zeros.

    Example:
        >>> graphs = [Data(x=torch.ones(n, 2), edge_index=torch.zeros(2, 0).long()) for n in (1, 3)]
        >>> batch = Batch.from_data_list(graphs)
        >>> members = graphpe.models.batches.nodes.node_to_graph(batch)
        >>> M.pool(batch.x, members, "sum")
        tensor([[1., 1.],
                [3., 3.]])

    Args:
        x: Node embeddings, `[num_nodes, width]`, in the order of `members`; where graphs have an extra node each, of
            all nodes in the order of `extended`.
        members: The partition into graphs.
        readout: `mean`, `sum` or `max` over nodes, `[num_graphs, width]`; `none` returns `x`, in the batch's order;
            `virtual` and `cls`, which are one: the extra nodes, `[num_graphs, width]`. Others leave these out.
        extended: The graphs with their extra nodes.
    """
    if extended is not None:
        if readout in ("virtual", "cls"):
            return x.index_select(0, extended.virtual)
        x = x.index_select(0, extended.real)
    if readout == "none":
        return members.restore(x)
    if readout in ("mean", "sum") and pooling_runs(x):
        return pooled(x, members.ptr, members.graph, mean=readout == "mean")
    out = x.new_zeros(members.num_graphs, x.shape[1], dtype=torch.promote_types(x.dtype, torch.float32))
    x = x.to(out.dtype)
    if readout == "max":
        place = members.graph.unsqueeze(1).expand_as(x)
        return out.scatter_reduce(0, place, x, "amax", include_self=False)
    out = out.index_add(0, members.graph, x)
    return out / members.sizes.clamp(min=1).unsqueeze(1) if readout == "mean" else out


_FEW_UNITS = 16


class MLPReadout(nn.Module):
    """Linear layers that halve the width (or keep it), each with a ReLU, and a last one to the output.

    Of a few ReLUs all may be dead at the start, for every input, and such a run never leaves it: layers of fewer than
    16 units begin with units in pairs, of which one has the other's weights with the sign changed, so that for every
    input half of them are alive. Behind few units all weights of an output may have one sign, and what is on the other
    side of its bias is then answered by no unit, which gradients do not mend: the weights of a pair begin with
    different signs. With dropout, which stands before each of them, and GELU it is the head of
    GraphGPS's `mlp_graph`.

    Example:
        >>> M.MLPReadout(16, 2)(torch.randn(3, 16)).shape
        torch.Size([3, 2])

    Args:
        width: Width of its input; divisible by `2 ** hidden_layers`.
        out: Number of outputs.
        hidden_layers: Number of layers before the last.
        halve: Whether each of them halves the width.
        dropout: Probability of dropout before each layer.
        activation: `relu` or `gelu`.

    Raises:
        GraphPEValueError: If the width cannot be halved that often, `out` is not positive, or an option is unknown.
    """

    def __init__(
        self,
        width: int,
        out: int,
        hidden_layers: int = 2,
        halve: bool = True,
        dropout: float = 0.0,
        activation: Literal["relu", "gelu"] = "relu",
    ) -> None:
        super().__init__()
        (dropout,) = check_probabilities(dropout=dropout)
        check_choice("activation", activation, ("relu", "gelu"))
        width, out = check_counts(width=width, out=out)
        hidden_layers = check_integer("hidden_layers", hidden_layers, least=0)
        (halve,) = check_flags(halve=halve)
        if halve and width % 2**hidden_layers:
            raise GraphPEValueError(
                f"MLPReadout halves its width {hidden_layers} times: "
                f"give a multiple of {2**hidden_layers} (got {width})"
            )
        sizes = [width // 2**layer if halve else width for layer in range(hidden_layers + 1)]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        with torch.no_grad():
            for size, layer in zip(sizes[1:], self.hidden, strict=True):
                if size < _FEW_UNITS:
                    for values in layer.parameters():
                        values[1::2] = -values[: size - 1 : 2]
        self.out = nn.Linear(sizes[-1], out)
        if hidden_layers and sizes[-1] < _FEW_UNITS:
            with torch.no_grad():
                first, second = self.out.weight[:, : sizes[-1] - 1 : 2], self.out.weight[:, 1::2]
                second.copy_(torch.copysign(second, -first))
        self.dropout = nn.Dropout(dropout)
        self.activation = torch.relu if activation == "relu" else functional.gelu

    def forward(self, x: Tensor) -> Tensor:
        """From `[num_graphs, width]` to `[num_graphs, out]`.

        Args:
            x: Embeddings, `[num_graphs, width]`.
        """
        layers: list[Any] = [*self.hidden]
        for layer in layers:
            x = self.dropout(x)
            x = linear_relu(x, layer) if self.activation is torch.relu else self.activation(layer(x))
        return self.out(self.dropout(x))


_FACTOR = 3.0
"""Of tied vectors, at the start: as inputs they begin with a standard deviation of 0.1."""


class SubtokenHead(nn.Module):
    """A classifier for each position of a short sequence, as for function names in ogbg-code2 (5 x 5002 classes).

    The classifiers are one linear layer, so that they are one product: `positions * classes * width` weights. Shared,
    they are one classifier behind a linear map of each position, and a bias of each class at each position, so that a
    word is learned once, wherever it stands: `(classes + positions * width) * width` weights.

    Args:
        width: Width of its input.
        classes: Classes at each position.
        positions: Number of positions.
        shared: Whether positions share one classifier.

    Raises:
        GraphPEValueError: If a number is not positive.
    """

    def __init__(self, width: int, classes: int = 5002, positions: int = 5, *, shared: bool = False) -> None:
        super().__init__()
        width, classes, positions = check_counts(width=width, classes=classes, positions=positions)
        (shared,) = check_flags(shared=shared)
        self.classes = classes
        self.positions = positions
        self.linear = nn.Linear(width, positions * (width if shared else classes))
        self.classifier: nn.Module | None = nn.Linear(width, classes, bias=False) if shared else None
        self.bias = nn.Parameter(torch.zeros(positions, classes)) if shared else None
        self.factor: nn.Parameter | None = None

    def tie(self, words: nn.Embedding) -> None:
        """Take the vectors of words that the model reads, times a learned number, for the shared classifier.

        What is learned about a word where it is read then counts where it is said (Press and Wolf 2017).

        Args:
            words: Vectors of the classes, `[classes or more, width]`.

        Raises:
            GraphPEValueError: The positions share no classifier, or the vectors are of another size.
        """
        if self.bias is None:
            raise GraphPEValueError("positions with classifiers of their own have none to tie: give shared=True")
        if words.num_embeddings < self.classes or words.embedding_dim != self.linear.in_features:
            raise GraphPEValueError(
                f"{self.classes} classes of width {self.linear.in_features} cannot be tied to {words.num_embeddings} "
                f"words of width {words.embedding_dim}"
            )
        self.classifier, self.factor = words, nn.Parameter(torch.tensor(_FACTOR))

    def forward(self, x: Tensor) -> Tensor:
        """From `[num_graphs, width]` to logits `[num_graphs, positions, classes]`.

        Args:
            x: Embeddings, `[num_graphs, width]`.
        """
        of_positions = self.linear(x).view(x.shape[0], self.positions, -1)
        if self.classifier is None or self.bias is None:
            return of_positions
        weight = cast(Tensor, self.classifier.weight)
        if self.factor is not None:
            weight = self.factor * weight[: self.classes]
        return functional.linear(of_positions, weight) + self.bias


class PairHead(nn.Module, ABC):
    """A head that reads vectors of pairs of nodes, too; for models with `pair_output`, and without pooling."""

    @abstractmethod
    def forward(self, x: Tensor, pair: Tensor, pairs: PairSet) -> Any:
        """The output, from vectors of nodes `[N, width]` and of pairs `[P, width]`, and which pairs these are.

        Args:
            x: Vectors of nodes, `[N, width]`.
            pair: Vectors of pairs, `[P, width]`.
            pairs: Which pairs these are.
        """
