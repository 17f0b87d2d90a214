"""Biases of attention from encodings of pairs: relative encodings of sequence models over any distance on a graph."""

from __future__ import annotations

from itertools import chain
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts, check_flags, check_integer, check_number
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.biases.bias_heads import (
    AlibiHead,
    FireHead,
    GaussianHead,
    KernelHead,
    KerpleLogHead,
    KerplePowerHead,
    LinearHead,
    MLPHead,
    PathHead,
    PriorHead,
    T5Head,
    TableHead,
)
from graphpe.models.attention.biases.pair_factors import PairFactors, RelationBias
from graphpe.models.attention.biases.randomized_hops import RandomizedHops
from graphpe.models.attention.pairs import PairSet
from graphpe.models.attention.positions.node_positions import Attending
from graphpe.models.batches.nodes import node_to_graph
from graphpe.models.batches.reading import read_encoding
from graphpe.models.layers.precision import in_half_precision

Head = Literal[
    "table", "t5", "alibi", "linear", "kernel", "kerple_log", "kerple_power", "prior", "fire", "gaussian", "mlp", "path"
]
Mode = Literal["add", "multiply", "both"]

FAR = 1e18
"""Distances from here on are no path: their squares would leave float32."""

# Default of `size`; None where a head has none.
_SIZES = {"table": 64, "t5": 32, "fire": 32, "gaussian": 128, "mlp": 32}
_OF_CHANNELS = ("mlp", "path")
_OF_LOGITS = ("alibi", "linear", "kerple_log", "kerple_power", "prior")
_OF_LOW_RANK = ("alibi", "linear", "kernel")
_OF_FEW = ("table", "t5")


class PairBias(nn.Module):
    """A bias of attention for every head from the pair encoding `batch[key]` `[sum n_b^2, channels]`.

    With f a function of the pair's values (a head, with parameters of its own for each use),

        add:      logit_ij  += f(D_ij)
        multiply: weight_ij *= 1 + g(D_ij)        after the softmax, not normalised again (URPE, Luo et al. 2022)

    or both. Heads, with D the distance from i to j:

    | head | f_h(D) | `size` |
    |---|---|---|
    | `table` | b_h[min(round(D), size - 1)] | rows, 64 |
    | `t5` | b_h[range of D], exact, then logarithmic up to `max_distance` | ranges, 32 |
    | `alibi` | -2^(-8h/H) D | |
    | `linear` | -r D | |
    | `kernel` | w K, K any real number of the pair | |
    | `kerple_log` | -r_1 log(1 + r_2 D) | |
    | `kerple_power` | -r_1 D^r_2 | |
    | `prior` | -(r abs(D - m))^p, the log of a prior over distances around m (BAM, Bianchessi et al. 2025) | |
    | `fire` | MLP(log(c D + 1) / log(c max(L, D_i) + 1)), D_i eccentricity of i | hidden width, 32 |
    | `gaussian` | MLP of Gaussians of D | Gaussians, 128 |
    | `mlp` | MLP of all channels | hidden width, 32 |
    | `path` | linear in all channels, divided by the length of the path (`EdgePathPE`) | |

    All but `alibi`, `linear`, `kerple` and `prior` start at zero: training starts from attention without the bias.
    `mlp` and `path` take any number of channels; the others take one distance, and a pair without a path (a value that
    is negative but for `kernel`, not finite, from `unreachable` or from 1e18 on) has a learned number of its own for
    each head. It starts at what the head gives for D = 16 where logits fall with distance (`alibi`, `linear`, `kerple`,
    `prior`), so that no path is not nearer than any path, and at zero elsewhere.

    O(P H) time and memory; `gaussian`, `mlp`, `fire` O(P size H). Where Triton's kernels run, models take `table` and
    `t5` as the number of each pair's row and the table, O(P + size H) memory (the first such bias of a model).

    With `factored=True` the encoding is one of *nodes*, coordinates r `[N, channels]`, whose squared distances
    D_ij = |r_i - r_j|^2 (`alibi`, `linear`) or products K_ij = r_i . r_j (`kernel`) are what the head takes. As

        -s |r_i - r_j|^2 = (2 s r_i) . r_j - s |r_j|^2 - s |r_i|^2

    and the softmax over j does not see the last term, that is attention with channels + 1 more columns of queries and
    keys (channels with `kernel`): O(N channels) memory, nothing of the size of the pairs, on every device. With
    `SpectralCoordinates(k=n - 1, scale="resistance")` D is the effective resistance, to rounding; with fewer columns it
    is a smaller distance, the truncated one. Nodes without a path have no number of their own here: they are
    |r_i|^2 + |r_j|^2 apart.

    With `randomized=L` distances of training stand for longer ones, so that those of larger graphs have been seen:
    `graphpe.models.attention.biases.randomized_hops` (Ruoss et al. 2023). A `table` has L + 1 rows then, at least.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]), num_nodes=5)
        >>> data = T.ShortestPathPE(max_distance=4)(data)
        >>> from graphpe.models.attention import all_pairs
        >>> from graphpe.models.batches.nodes import node_to_graph
        >>> pairs = all_pairs(node_to_graph(data), data.edge_index)
        >>> M.PairBias("shortest_path", 4, size=6)(data, pairs).add.shape
        torch.Size([25, 4])

    Args:
        key: Name of the encoding in the batch.
        heads: Number H of heads.
        head: Name of the function.
        mode: `add`, `multiply` or `both`; `alibi`, `linear`, `kerple` and `prior` are functions of logits and are
            only added.
        channels: Columns of the encoding; one unless `head` is `mlp` or `path`, or the bias is factored.
        size: See the table; None for the number given there.
        max_distance: Where the last range of `t5` begins.
        unreachable: Smallest value that means that there is no path, as `max_distance + 1` of `ShortestPathPE`.
        factored: Read coordinates of nodes instead of values of pairs; `head` is `alibi`, `linear` or `kernel`.
        randomized: Longest path L of graphs that are expected, for distances that are randomised in training; 0: not.

    Raises:
        GraphPEValueError: If an argument is out of range or does not belong to the head; in `forward` if the batch has
            no real encoding of that name with that many columns.
    """

    def __init__(
        self,
        key: str,
        heads: int,
        *,
        head: Head = "table",
        mode: Mode = "add",
        channels: int = 1,
        size: int | None = None,
        max_distance: float = 128.0,
        unreachable: float | None = None,
        factored: bool = False,
        randomized: int = 0,
    ) -> None:
        super().__init__()
        randomized = check_integer("randomized", randomized, least=0)
        (factored,) = check_flags(factored=factored)
        heads, channels = check_counts(heads=heads, channels=channels)
        size = None if size is None else check_integer("size", size, least=1)
        max_distance = check_number("max_distance", max_distance)
        _check(head, mode, channels, size, max_distance, factored)
        if randomized and (factored or head in (*_OF_CHANNELS, "kernel")):
            raise GraphPEValueError(
                f"randomized={randomized} is for one distance of each pair: leave it 0 with head {head!r}"
                + (", factored=True" if factored else "")
            )
        if randomized and head == "table" and size is None:
            size = max(_SIZES["table"], randomized + 1)
        self.key = key
        self.heads = heads
        self.head = head
        self.mode = mode
        self.channels = channels
        self.size = size if size is not None else _SIZES.get(head)
        self.max_distance = max_distance
        self.unreachable = unreachable
        self.factored = factored
        self.randomized = randomized
        self.randomize = RandomizedHops(randomized) if randomized else None
        self.add = self._part() if mode != "multiply" else None
        self.multiply = self._part() if mode != "add" else None

    @in_half_precision
    def forward(self, batch: Data, pairs: PairSet) -> PairFactors:
        """What the encoding does to the attention of the pairs.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with values of all pairs under `key`.
            pairs: The pairs of the attention.
        """
        if self.factored:
            raise GraphPEValueError("a factored bias has no values of pairs: give it to a model, or call of_nodes")
        value, eccentricity = self._read(batch, pairs), None
        if self.head == "fire":
            eccentricity = _eccentricity(value, self._reachable(value), batch, pairs)
        value = pairs.take(value)
        reachable = None if self.head in _OF_CHANNELS else self._reachable(value)
        add = self.add(value, reachable, eccentricity) if self.add is not None else None
        multiply = 1 + self.multiply(value, reachable, eccentricity) if self.multiply is not None else None
        return PairFactors(add, multiply)

    @property
    def of_few(self) -> bool:
        """Whether the values are a few numbers, rows of a table, which `of_relations` gives."""
        return self.head in _OF_FEW

    @in_half_precision
    def of_relations(self, batch: Data, pairs: PairSet) -> PairFactors:
        """What `forward` gives as numbers of relations, of which those without a path are the last: no `[P, H]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with values of all pairs under `key`.
            pairs: The pairs of the attention.
        """
        part = self.multiply if self.add is None else self.add
        if part is None or not isinstance(part.function, TableHead | T5Head):
            raise GraphPEValueError(f"head {self.head!r} has no table of numbers: call the bias itself")
        value = pairs.take(self._read(batch, pairs))
        reachable = self._reachable(value)
        rows = part.function.rows(torch.where(reachable, value, 0.0))
        relation = torch.where(reachable.squeeze(1), rows, part.function.table.num_embeddings).int()
        add = None if self.add is None else self.add.numbers
        return PairFactors(
            relations=(RelationBias(relation, add, None if self.multiply is None else 1 + self.multiply.numbers),)
        )

    @in_half_precision
    def of_nodes(self, batch: Data, nodes: Attending) -> PairFactors:
        """What a factored bias does to attention: `left` and `right`, `[N, H, K]`; zero at extra nodes.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with coordinates of nodes under `key`.
            nodes: Its nodes as they attend.
        """
        if not self.factored or self.add is None:
            raise GraphPEValueError("the bias is one of values of pairs: build it with factored=True")
        value = self._exact(read_encoding(batch, self.key, self.channels))
        head = self.add.function
        if isinstance(head, KernelHead):
            left, right = value.unsqueeze(1) * head.weight.unsqueeze(1), value
        else:
            assert isinstance(head, AlibiHead | LinearHead), "checked when it was built"
            slope = head.slope.to(value.dtype).view(1, -1, 1)
            norm = value.square().sum(1, keepdim=True)
            one = torch.ones_like(norm)
            left = torch.cat([2 * value, -one, -norm], 1).unsqueeze(1) * slope
            right = torch.cat([value, norm, one], 1)
            if nodes.place is None:  # no extra nodes, whose logits have no such term
                left, right = left[..., :-1], right[:, :-1]
        return PairFactors(left=nodes.rows(left), right=nodes.rows(right).unsqueeze(1).expand(-1, self.heads, -1))

    def _read(self, batch: Data, pairs: PairSet) -> Tensor:
        """Values of all pairs as they are in this step, `[P, channels]`."""
        value = self._exact(read_encoding(batch, self.key, self.channels, level="pair", rows=pairs.total))
        return value if self.randomize is None else self._randomized(value, batch, self.randomize)

    def _randomized(self, value: Tensor, batch: Data, randomize: RandomizedHops) -> Tensor:
        """Distances of all pairs, as they are in this step; what is no path stays."""
        reachable, members = self._reachable(value), node_to_graph(batch)
        graph = members.graph.repeat_interleave(members.sizes.index_select(0, members.graph), output_size=len(value))
        found = randomize(torch.where(reachable, value, 0.0), graph, members.num_graphs)
        return torch.where(reachable, found, value)

    def _exact(self, value: Tensor) -> Tensor:
        if value.is_complex():
            raise GraphPEValueError(f"batch.{self.key} is complex: PairBias takes real values")
        weight = next(chain(self.parameters(), self.buffers()))  # factored `alibi` learns nothing
        return value.to(torch.promote_types(weight.dtype, torch.float32))

    def _reachable(self, value: Tensor) -> Tensor:
        """Whether a path joins each pair, `[P, 1]`; False for nan."""
        far = FAR if self.unreachable is None else min(self.unreachable, FAR)
        return (value >= (-FAR if self.head == "kernel" else 0)) & (value < far)

    def _part(self) -> _Part:
        return _Part(self._function(), self.heads, self.head, apart=not self.factored)

    def _function(self) -> nn.Module:
        heads, size = self.heads, self.size or 0
        match self.head:
            case "table":
                return TableHead(heads, size)
            case "t5":
                return T5Head(heads, size, self.max_distance)
            case "alibi":
                return AlibiHead(heads)
            case "linear":
                return LinearHead(heads)
            case "kernel":
                return KernelHead(heads)
            case "kerple_log":
                return KerpleLogHead(heads)
            case "kerple_power":
                return KerplePowerHead(heads)
            case "prior":
                return PriorHead(heads)
            case "fire":
                return FireHead(heads, size)
            case "gaussian":
                return GaussianHead(heads, size)
            case "mlp":
                return MLPHead(heads, self.channels, size)
            case _:
                return PathHead(heads, self.channels)

    def extra_repr(self) -> str:
        return (
            f"{self.key!r}, heads={self.heads}, head={self.head!r}, mode={self.mode!r}, channels={self.channels}, "
            f"size={self.size}, max_distance={self.max_distance}, unreachable={self.unreachable}, "
            f"factored={self.factored}"
        )


class _Part(nn.Module):
    """A head, and a number of its own for pairs without a path."""

    def __init__(self, function: nn.Module, heads: int, head: str, *, apart: bool) -> None:
        super().__init__()
        self.function = function
        start = torch.zeros(heads)
        if head in _OF_LOGITS:
            with torch.no_grad():
                start = function(torch.full((1, 1), 16.0)).squeeze(0).clone()
        self.apart = nn.Parameter(start) if apart and head not in _OF_CHANNELS else None

    @property
    def numbers(self) -> Tensor:
        """All numbers of a head with a table, that without a path last, `[size + 1, H]`."""
        assert isinstance(self.function, TableHead | T5Head)
        assert self.apart is not None
        return torch.cat([self.function.table.weight, self.apart.unsqueeze(0)])

    def forward(self, value: Tensor, reachable: Tensor | None, eccentricity: Tensor | None) -> Tensor:
        if reachable is None or self.apart is None:
            return self.function(value)
        value = torch.where(reachable, value, 0.0)
        found = self.function(value) if eccentricity is None else self.function(value, eccentricity)
        return torch.where(reachable, found, self.apart.to(found.dtype))


def _eccentricity(value: Tensor, reachable: Tensor, batch: Data, pairs: PairSet) -> Tensor:
    """Largest finite distance from the query of each pair, `[P, 1]`; from the values of all pairs of each graph."""
    nodes, members = pairs.ptr.numel() - 1, node_to_graph(batch)
    length = members.sizes.index_select(0, members.graph)
    query = torch.arange(nodes, device=length.device).repeat_interleave(length, output_size=value.shape[0])
    distance = torch.where(reachable, value, 0.0).squeeze(1)
    largest = distance.new_zeros(nodes).scatter_reduce(0, query, distance, "amax")
    return largest.index_select(0, pairs.target).unsqueeze(1)


def _check(head: str, mode: str, channels: int, size: int | None, max_distance: float, factored: bool) -> None:
    check_choice("head", head, get_args(Head))
    check_choice("mode", mode, get_args(Mode))
    if factored and (head not in _OF_LOW_RANK or mode != "add"):
        raise GraphPEValueError(
            f"a factored bias has a head that is linear in its distance, {', '.join(_OF_LOW_RANK)}, and is added "
            f"(got head={head!r}, mode={mode!r})"
        )
    if channels > 1 and not factored and head not in _OF_CHANNELS:
        raise GraphPEValueError(f"head {head!r} takes one distance (got channels={channels}): use 'mlp' or 'path'")
    if mode != "add" and head in _OF_LOGITS:
        raise GraphPEValueError(f"head {head!r} is a function of logits: use mode='add' (got {mode!r})")
    if head == "t5" and size == 1:
        raise GraphPEValueError("size must be from 2 on for head 't5', got 1")
    if size is not None and (head not in _SIZES or size < 1):
        raise GraphPEValueError(f"size={size} is not one that head {head!r} can have")
    if head == "t5" and max_distance <= (size or _SIZES["t5"]) // 2:
        raise GraphPEValueError(f"max_distance must be greater than half of size (got {max_distance})")
