from __future__ import annotations

import networkx as nx
import pytest
import torch
from torch_geometric.data import Data

import graphpe.models as M
import graphpe.transforms as T
from graphpe.errors import GraphPEValueError
from graphpe.models.attention import padding
from graphpe.models.attention.pairs import all_pairs
from graphpe.models.batches.nodes import node_to_graph


def test_is_causal_alibi_on_a_sequence(make_path, sequence) -> None:
    given = sequence(make_path(9), [M.DirectedHeads("shortest_path", 2, 8, views=("ancestors", "descendants"))])
    logit = given.q @ given.k.transpose(1, 2) / 2 - given.offset.abs() * 2.0**-8
    logit[0] = logit[0].masked_fill(given.offset > 0, -torch.inf)
    logit[1] = logit[1].masked_fill(given.offset < 0, -torch.inf)
    given.expect(logit)


def rows(terms: M.DirectedHeads, data: Data) -> torch.Tensor:
    members = node_to_graph(data)
    n = data.num_nodes
    return terms.prepare(data, all_pairs(members, data.edge_index), members).add.view(n, n, -1)


@pytest.mark.parametrize("key", ["shortest_path", "reachability"])
def test_views_of_a_random_graph(key: str) -> None:
    n = 9
    graph = nx.gnp_random_graph(n, 0.15, directed=True, seed=int(torch.randint(0, 10**6, ())))
    data = Data(edge_index=torch.tensor(list(graph.edges)).view(-1, 2).t(), num_nodes=n)
    data = T.ReachabilityPE()(T.ShortestPathPE(n, undirected=False)(data))
    hops = dict(nx.all_pairs_shortest_path_length(graph))
    more = {"least": 1.0} if key == "reachability" else {"unreachable": n + 1}
    add = rows(M.DirectedHeads(key, 8, 8, slope=2.0, **more), data)
    for i in range(n):
        for j in range(n):
            down, up = hops[i].get(j, torch.inf), hops[j].get(i, torch.inf)
            if key == "reachability" and i != j:
                down, up = (min(x, 1) if x < torch.inf else x for x in (down, up))
            other = 0.0 if i == j or min(down, up) == torch.inf else torch.inf
            expected = [
                -2.0 * d * 2.0 ** (-8 * h / 2) if d else 0.0 for h in (1, 2) for d in (up, down, min(down, up), other)
            ]
            assert add[i, j].tolist() == pytest.approx(expected)
    assert bool((add.diagonal() == 0).all())


def test_masks_leave_numbers_in_padded_blocks_and_in_gradients(batch, monkeypatch) -> None:
    """In one block, as off the CPU where nobody tells sizes, rows of other graphs fill up what a graph lacks: a mask
    must not leave one of them without a key."""
    one = [(torch.arange(4), 12)]
    monkeypatch.setattr(padding, "_size_groups", lambda members: one if members.num_nodes == 20 else [(one[0][0], 13)])
    for views in (("others",), ("ancestors",), ("descendants", "both")):
        terms = M.DirectedHeads("shortest_path", 4, 16, views=views)
        urpe = M.PairBias("shortest_path", 4, mode="multiply")  # weights are written out
        for name in ("GPS", "Graphormer"):
            model = getattr(M, name)(
                width=16, layers=2, heads=4, node_encoder=M.LinearNodes(16, 16), pair_encodings=[terms, urpe]
            ).double()
            out = model(batch)
            out.square().sum().backward()
            assert bool(out.isfinite().all())
            assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)


def test_bad_arguments() -> None:
    for views in ((), "both", ("up",)):
        with pytest.raises(GraphPEValueError, match="views must"):
            M.DirectedHeads("shortest_path", 2, 8, views=views)
    with pytest.raises(GraphPEValueError, match="slope"):
        M.DirectedHeads("shortest_path", 2, 8, slope=-1.0)
