from __future__ import annotations

from itertools import pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphpe.benchmarks.tasks.code.source.edges import add_inverse_edges, add_token_edges, flag_syntax_edges
from graphpe.graphs.packed import PackedGraphs


def random_trees(seed: int) -> PackedGraphs:
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(1, 12, (6,), generator=generator)
    ptr = torch.cat([torch.zeros(1, dtype=torch.long), sizes.cumsum(0)])
    edges = [
        (int(start) + int(torch.randint(0, child, (1,), generator=generator)), int(start) + child)
        for start, size in zip(ptr.tolist(), sizes.tolist(), strict=False)
        for child in range(1, size)
    ]
    return PackedGraphs(
        edge_index=torch.tensor(edges, dtype=torch.long).reshape(-1, 2).T,
        ptr=ptr,
        edge_ptr=ptr - torch.arange(len(ptr)),
        node={"node_is_attributed": torch.randint(0, 2, (int(ptr[-1]), 1), generator=generator)},
    )


def augmented(graphs: PackedGraphs) -> list[set[tuple[int, int, float, float]]]:
    """Edges of each graph as OGB's format describes them, one graph and one edge at a time."""
    out = []
    for data in graphs.to_data_list():
        tokens = [node for node, flag in enumerate(data.node_is_attributed.flatten().tolist()) if flag]
        edges = {(u, v, 0.0, 0.0) for u, v in data.edge_index.T.tolist()}
        edges |= {(u, v, 1.0, 0.0) for u, v in pairwise(tokens)}
        out.append(edges | {(v, u, token, 1.0) for u, v, token, _ in edges})
    return out


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31))
def test_the_edge_set_is_that_of_ogb(seed):
    trees = random_trees(seed)
    graphs = add_inverse_edges(add_token_edges(flag_syntax_edges(trees)))
    expected = augmented(trees)
    for data, edges in zip(graphs.to_data_list(), expected, strict=True):
        assert data.edge_attr.dtype == torch.float32
        got = [(*pair, *flags) for pair, flags in zip(data.edge_index.T.tolist(), data.edge_attr.tolist(), strict=True)]
        assert len(got) == len(edges)
        assert set(got) == edges


def test_forward_edges_come_first_in_their_old_order():
    trees = flag_syntax_edges(random_trees(3))
    with_tokens = add_token_edges(trees)
    both = add_inverse_edges(with_tokens)
    for before, middle, after in zip(trees, with_tokens, both, strict=True):
        assert torch.equal(middle.edge_index[:, : before.edge_index.size(1)], before.edge_index)
        assert torch.equal(after.edge_index[:, : middle.edge_index.size(1)], middle.edge_index)
        assert torch.equal(after.edge_index[:, middle.edge_index.size(1) :], middle.edge_index.flip(0))


def test_inverse_edges_repeat_values_and_weights_and_leave_the_input_alone():
    graphs = flag_syntax_edges(random_trees(4))
    weight = torch.rand(graphs.num_edges)
    graphs = graphs.with_edges(graphs.edge_index, graphs.edge_ptr, {**graphs.edge, "length": weight * 2}, weight)
    both = add_inverse_edges(graphs)
    assert int(graphs.edge["edge_attr"].sum()) == 0
    for one, two in zip(graphs, both, strict=True):
        assert torch.equal(two.edge_weight, one.edge_weight.repeat(2))
        assert torch.equal(two.length, one.length.repeat(2))


def test_no_graph_and_no_edge():
    empty = PackedGraphs(torch.zeros(2, 0, dtype=torch.long), torch.tensor([0, 1]), torch.tensor([0, 0]))
    empty = empty.with_values(node={"node_is_attributed": torch.ones(1, 1, dtype=torch.long)})
    for graphs in (empty, empty.select([])):
        assert add_inverse_edges(add_token_edges(flag_syntax_edges(graphs))).num_edges == 0
