"""Random node identifiers beside the node features: what tells alike nodes apart, averaged over draws."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_counts, check_flags, check_seed
from graphpe.models.batches.nodes import node_to_graph, read_edges
from graphpe.models.encoders.element_network import ElementNetwork
from graphpe.models.encoders.learned.fixed_normals import fixed_normals
from graphpe.models.encoders.learned.learned_encoding import LearnedEncoding
from graphpe.models.layers.precision import in_half_precision


class RandomIdentifiers(LearnedEncoding):
    """Random identifiers of nodes through a GNN (rGIN, Sato et al. 2021; RNI, Abboud et al. 2021).

        out = W mean_m ReLU(GNN([h ; r^(m)])) + b,    h = nodes(batch),  r^(m)_v ~ N(0, 1)^channels

    GNN is a graph isomorphism network of `layers` rounds, `hidden` wide
    (`graphpe.models.encoders.element_network.ElementNetwork`), over embeddings h of the node features with `channels`
    random numbers beside. Identifiers make message passing universal for functions of graphs, with high probability
    (Abboud et al. 2021, theorem 1): it can find cycles and count nodes that features and degrees do not tell apart.

    * In training one draw m, new in each step, from torch's generator, whose state a run keeps: it resumes to the bit.
    * In evaluation the mean over `samples` draws, as relational pooling estimates a mean over numberings (Murphy et al.
      2019). They are a fixed function of `seed`, m and the place of the node in its graph: a graph has the same
      encoding at each call, alone or in any batch.
    * Equivariant in distribution: the expectation over draws is exactly equivariant; the mean over M draws is off by
      about M^-1/2.
    * Cost: O(layers M (E + N hidden) hidden), linear in the graph.

    W and b start at zero: training starts from the model without the encoding.

    Differs from the papers in: what identifiers tell is an encoding for the architecture that follows, which sees none
    itself; the mean is over encodings and not over predictions; LayerNorm inside the rounds; with `directed`, messages
    against the edges have a map of their own. `PEARLEncoding` is a mean over draws in training too, of one number a
    node, without the node features.

    Example:
        >>> data = Data(x=torch.randn(4, 3), edge_index=torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]]))
        >>> M.RandomIdentifiers(M.LinearNodes(3, 16), 16, samples=4)(data).shape
        torch.Size([4, 16])

    Args:
        nodes: From a batch to embeddings of the node features, `[N, width]`.
        width: Width of the result.
        channels: Random numbers of a node.
        samples: Draws M that are averaged in evaluation.
        hidden: Width of the GNN.
        layers: Rounds of messages.
        directed: Whether messages also go against the edges, by a map of their own.
        seed: Of the identifiers in evaluation.

    Raises:
        GraphPETypeError: If an argument is of another type.
        GraphPEValueError: If a number is out of range; in `forward` if the batch has no edges that are those of graphs,
            or lacks what `nodes` reads.
    """

    def __init__(
        self,
        nodes: nn.Module,
        width: int,
        *,
        channels: int = 8,
        samples: int = 8,
        hidden: int = 32,
        layers: int = 3,
        directed: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        width, channels, samples, hidden, layers = check_counts(
            width=width, channels=channels, samples=samples, hidden=hidden, layers=layers
        )
        self.channels = channels
        self.samples = samples
        self.hidden = hidden
        self.layers = layers
        (self.directed,) = check_flags(directed=directed)
        self.seed = check_seed(seed)
        self.nodes = nodes
        self.network = ElementNetwork("gin", width + channels, hidden, hidden, layers, directed=self.directed)
        self.out = nn.Linear(hidden, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The encoding at the model's width, `[num_nodes, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the node features.
        """
        members = node_to_graph(batch)
        edge_index = read_edges(batch, members)
        features = members.sort(self.nodes(batch)).unsqueeze(1)  # [N, 1, width]
        draws, dtype = 1 if self.training else self.samples, torch.promote_types(features.dtype, torch.float32)
        if self.training:
            values = torch.randn(members.num_nodes, self.channels, dtype=dtype, device=features.device)
        else:
            place = torch.arange(members.num_nodes, device=features.device)
            place = place - members.ptr.index_select(0, members.graph)
            values = fixed_normals(place, draws * self.channels, self.seed).to(dtype)
        values = values.unflatten(1, (draws, self.channels))
        given = torch.cat([features.to(dtype).expand(-1, draws, -1), values], dim=2)
        found = self.network(given, edge_index).relu().mean(1)  # [N, hidden]
        return self.out(members.restore(found))

    def __repr__(self) -> str:
        names = ("channels", "samples", "hidden", "layers", "directed", "seed")
        return f"RandomIdentifiers({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"
