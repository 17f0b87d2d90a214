from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

import graphpe.models as M
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.pairs import all_pairs
from graphpe.models.batches.nodes import node_to_graph


def vectors(terms: M.RelationTerms, part: str, sequence) -> torch.Tensor:
    """a_(clip(j - i)), `[H, n, n, C]`, from a table whose rows are 0, 1, ..., k, -1, ..., -k."""
    k = terms.size - 1
    offset = sequence.offset.clamp(-k, k)
    row = torch.where(offset < 0, k - offset, offset)
    return terms.tables.vectors[part][row].expand(-1, -1, 2, -1).permute(2, 0, 1, 3)


@pytest.mark.parametrize("shared", [True, False])
def test_is_the_attention_of_shaw(make_path, sequence, shared: bool) -> None:
    terms = M.RelationTerms("shortest_path", 2, 8, size=4, on=("query", "value"), directed=True, shared=shared)
    given = sequence(make_path(9), [terms])
    keys, values = (vectors(terms, part, given) for part in ("query", "value"))
    logit = torch.einsum("hic,hijc->hij", given.q, given.k.unsqueeze(1) + keys) / 2
    given.expect(logit, lambda weight: torch.einsum("hij,hijc->hic", weight, values))


def test_is_contextual_irpe_on_queries_keys_and_values(make_path, sequence) -> None:
    terms = M.RelationTerms("shortest_path", 2, 8, size=3, directed=True, shared=False)
    given = sequence(make_path(7), [terms])
    a, b, values = (vectors(terms, part, given) for part in ("query", "key", "value"))
    logit = torch.einsum("hic,hijc->hij", given.q, given.k.unsqueeze(1) + a)
    logit = (logit + torch.einsum("hjc,hijc->hij", given.k, b)) / 2
    given.expect(logit, lambda weight: torch.einsum("hij,hijc->hic", weight, values))


def test_is_method_4_of_huang(make_path, sequence) -> None:
    terms = M.RelationTerms("shortest_path", 2, 8, size=3, on=("query", "key"), tied=True, directed=True)
    given = sequence(make_path(7), [terms])
    a = vectors(terms, "query", given)
    q, k = given.q.unsqueeze(2) + a, given.k.unsqueeze(1) + a
    given.expect(((q * k).sum(-1) - (a * a).sum(-1)) / 2)
    assert len(terms.tables.vectors) == 1


def test_is_method_3_of_huang(make_path, sequence) -> None:
    terms = M.RelationTerms("shortest_path", 2, 8, size=3, on=("product",), directed=True)
    given = sequence(make_path(7), [terms])
    given.expect((given.q.unsqueeze(2) * given.k.unsqueeze(1) * (1 + vectors(terms, "product", given))).sum(-1) / 2)


def related(terms, data: Data) -> torch.Tensor:
    members = node_to_graph(data)
    return terms.prepare(data, all_pairs(members, data.edge_index), members).relation.view(data.num_nodes, -1)


def test_relations_of_distances() -> None:
    data = Data(edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=3)
    data.d = torch.tensor([0, 2.6, -1, 2, 0, float("inf"), float("nan"), 7, 0]).view(-1, 1)
    forth = related(M.RelationTerms("d", 1, 2, size=3, unreachable=7), data)
    assert forth.tolist() == [[0, 2, 3], [2, 0, 3], [3, 3, 0]]
    both = related(M.RelationTerms("d", 1, 2, size=3, unreachable=7, directed=True), data)
    # From 0 to 1 the way back is shorter: 1 is before 0. Where there is no way at all, the last relation.
    assert both.tolist() == [[0, 4, 5], [2, 0, 5], [5, 5, 0]]
    data.d = torch.tensor([0, -1, 0.2, 0.2, 0, 1, -1, 1, 0]).view(-1, 1)
    assert related(M.RelationTerms("d", 1, 2, size=3, directed=True), data).tolist() == [
        [0, 3, 0],
        [0, 0, 1],
        [3, 1, 0],
    ]


def test_relations_of_edges() -> None:
    edges = torch.tensor([[0, 0, 1, 2, 3, 0, 2], [1, 1, 2, 1, 3, 3, 0]])
    data = Data(edge_index=edges, edge_attr=torch.tensor([2, 1, 0, 2, 1, 0, 1]), num_nodes=4)
    # Query i, key j: 0 itself, 1 + t from j to i, 4 + t from i to j only, 7 none.
    expected = [[0, 5, 2, 4], [2, 0, 3, 7], [5, 1, 0, 7], [1, 7, 7, 0]]
    assert related(M.EdgeTerms(1, 2, types=3), data).tolist() == expected
    order = torch.randperm(7)
    data.edge_index, data.edge_attr = edges[:, order], data.edge_attr[order].view(-1, 1)
    assert related(M.EdgeTerms(1, 2, types=3), data).tolist() == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on": ("query", "depth")}, "on must be one of"),
        ({"on": ()}, "on must name parts once each"),
        ({"on": ("key", "key")}, "on must name parts once each"),
        ({"on": "query"}, "on must name parts once each"),
        ({"on": ("query",), "tied": True}, "tied=True needs"),
        ({"size": 1, "directed": True}, "size must be from 2 on"),
        ({"heads": 3}, "width must be a multiple of heads"),
    ],
)
def test_bad_arguments(options, message: str) -> None:
    with pytest.raises(GraphPEValueError, match=message):
        M.RelationTerms("shortest_path", **{"heads": 2, "width": 8, **options})


def test_bad_types_of_edges() -> None:
    data = Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2)
    for given, message in (
        (None, "types of edges, which the graphs do not have"),
        (torch.zeros(1, 2).long(), "must be types of edges"),
        (torch.zeros(1), "must be integers"),
        (torch.tensor([3]), "edge_attr"),
    ):
        data.edge_attr = given
        with pytest.raises(GraphPEValueError, match=message):
            related(M.EdgeTerms(1, 2, types=3), data)


def test_another_width_is_told() -> None:
    data = Data(edge_index=torch.tensor([[0], [1]]), edge_attr=torch.tensor([0]), x=torch.randn(2, 8))
    model = M.GPS(
        width=8, layers=1, heads=2, node_encoder=M.LinearNodes(8, 8), pair_encodings=[M.EdgeTerms(2, 4, types=1)]
    )
    with pytest.raises(GraphPEValueError, match="query must have the shape"):
        model(data)
