"""Encodings of one large graph on their way through PyG's loaders of parts: rows of the nodes that were chosen."""

from __future__ import annotations

import pytest
import torch
import torch_geometric.typing
from torch_geometric.data import Data
from torch_geometric.loader import (
    ClusterData,
    ClusterLoader,
    LinkLoader,
    LinkNeighborLoader,
    NeighborLoader,
    NodeLoader,
    RandomNodeLoader,
    ShaDowKHopSampler,
)
from torch_geometric.sampler import BaseSampler, EdgeSamplerInput, NodeSamplerInput, SamplerOutput
from torch_geometric.utils import k_hop_subgraph

from graphpe import transforms as T

SAMPLING = torch_geometric.typing.WITH_PYG_LIB or torch_geometric.typing.WITH_TORCH_SPARSE
needs_sampler = pytest.mark.skipif(not SAMPLING, reason="PyG samples with pyg-lib or torch-sparse, and neither is here")


class OneHop(BaseSampler):
    """What PyG's compiled samplers do, in Python: seeds and all nodes that an edge brings to them."""

    def __init__(self, edge_index: torch.Tensor) -> None:
        self.edge_index = edge_index

    def _around(self, seeds: torch.Tensor) -> SamplerOutput:
        edge = torch.isin(self.edge_index[1], seeds).nonzero().flatten()
        chosen = dict.fromkeys([*seeds.tolist(), *self.edge_index[0, edge].tolist()])  # seeds first
        node = torch.tensor(list(chosen))
        place = torch.full((int(self.edge_index.max()) + 1,), -1).index_copy(0, node, torch.arange(len(node)))
        row, col = place[self.edge_index[:, edge]]
        return SamplerOutput(node=node, row=row, col=col, edge=edge)

    def sample_from_nodes(self, index: NodeSamplerInput, **_: object) -> SamplerOutput:
        out = self._around(index.node)
        out.metadata = (index.input_id, None)
        return out

    def sample_from_edges(self, index: EdgeSamplerInput, neg_sampling: object = None) -> SamplerOutput:
        out = self._around(torch.cat([index.row, index.col]).unique())
        out.metadata = (index.input_id, torch.stack([index.row, index.col]), index.label, None)
        return out


class Clusters(ClusterData):
    """PyG's clusters without METIS: each node's is drawn."""

    def _metis(self, edge_index: torch.Tensor, num_nodes: int) -> torch.Tensor:
        return torch.arange(num_nodes) * 7 % self.num_parts


@pytest.fixture(scope="module")
def graph() -> Data:
    """Encodings of nodes, and `[1, k]` values of the graph, of which k is the number of nodes, or of edges, too."""
    generator = torch.Generator().manual_seed(0)
    upper = torch.randint(0, 30, (2, 45), generator=generator)
    edges = torch.cat([upper, upper.flip(0)], dim=1)
    data = Data(edge_index=edges, x=torch.arange(30.0).unsqueeze(1), n_id=torch.arange(30))
    transform = T.Compose(
        [
            T.LaplacianPE(30, sign="canonical"),
            T.LaplacianPE(90, sign="canonical", attr_name="wide"),
            T.MagneticLaplacianPE(4, potentials=2, sign="canonical"),
            T.SVDPE(3, sign="canonical"),
            T.DiffusionPE(4),
            T.TreeFieldPE(eigenvalues=2),
            T.RandomWalkPE(5),
            T.DegreePE(max_degree=9),
            T.CyclePE(4, attr_name=None),
        ]
    )
    out = transform(data)
    out.said = {"node": transform.keys, "graph": transform.graph_keys}
    return out


def check(part: Data, graph: Data) -> None:
    rows = part.n_id
    for key in graph.said["node"]:
        assert torch.equal(part[key], graph[key][rows]), key
    for key in graph.said["graph"]:
        assert torch.equal(part[key], graph[key]), key


def without_note(graph: Data) -> Data:
    plain = graph.clone()
    del plain.said
    return plain


def test_parts_at_random(graph):
    parts = list(RandomNodeLoader(without_note(graph), num_parts=4))
    assert sum(part.num_nodes for part in parts) == 30
    for part in parts:
        check(part, graph)


def test_subgraphs(graph):
    plain = without_note(graph)
    chosen = torch.tensor([3, 17, 4, 28])
    check(plain.subgraph(chosen), graph)
    nodes, *_ = k_hop_subgraph(3, 1, plain.edge_index)
    check(plain.subgraph(nodes), graph)
    check(plain.subgraph(torch.tensor([5])), graph)  # of one node: values of the graph look like those of nodes


@needs_sampler
def test_neighbours(graph):
    for part in NeighborLoader(without_note(graph), num_neighbors=[3, 2], batch_size=8):
        check(part, graph)


@needs_sampler
def test_neighbours_of_links(graph):
    for part in LinkNeighborLoader(without_note(graph), num_neighbors=[2], batch_size=16, neg_sampling_ratio=1.0):
        check(part, graph)


def test_clusters(graph):
    clusters = Clusters(without_note(graph), num_parts=5, log=False)
    assert sorted(torch.cat([part.n_id for part in clusters]).tolist()) == list(range(30))
    for part in [*clusters, *ClusterLoader(clusters, batch_size=2)]:
        check(part, graph)


def test_neighbours_of_a_sampler_in_python(graph):
    plain = without_note(graph)
    parts = list(NodeLoader(plain, OneHop(plain.edge_index), batch_size=8))
    parts += LinkLoader(plain, OneHop(plain.edge_index), edge_label_index=plain.edge_index[:, :20], batch_size=6)
    assert len(parts) == 4 + 4
    for part in parts:
        assert part.num_nodes == len(part.n_id) <= 30
        check(part, graph)


@pytest.mark.skipif(not torch_geometric.typing.WITH_TORCH_SPARSE, reason="PyG's ShaDow needs torch-sparse")
def test_shadow(graph):
    for batch in ShaDowKHopSampler(without_note(graph), depth=1, num_neighbors=3, batch_size=5):
        for key in graph.said["node"]:
            assert torch.equal(batch[key], graph[key][batch.n_id]), key
