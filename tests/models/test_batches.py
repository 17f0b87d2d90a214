"""Batches that were changed after they were made, or by hand: the right value, or one line. Over all architectures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch_geometric.transforms as pyg
from torch import Tensor, nn
from torch_geometric.data import Batch, Data, HeteroData

from graphpe import models as M
from graphpe.errors import GraphPEError
from graphpe.models.layers.inputs import LinearNodes

W = 8
Change = Callable[[Batch], Data]

# name: (class, options, whether it reads values of pairs)
FORMS: dict[str, tuple[Any, dict[str, Any], bool]] = {
    "GatedGCN": (M.GatedGCN, {}, False),
    "GINE": (M.GINE, {}, False),
    "GCN": (M.GCN, {}, False),
    "GCN-virtual": (M.GCN, {"virtual_node": True, "variant": "ogb", "feed_forward": True}, False),
    "GraphTransformer": (M.GraphTransformer, {"heads": 2}, False),
    "GraphTransformer-full": (M.GraphTransformer, {"heads": 2, "attention": "full"}, False),
    "GraphTransformer-edges": (M.GraphTransformer, {"heads": 2, "attention": "full", "update_edges": True}, False),
    "GRIT": (M.GRIT, {"heads": 2, "pair_encodings": ["nodes"]}, True),
    "GRIT-sparse": (M.GRIT, {"heads": 2, "attention": "sparse", "pair_encodings": ["walks"]}, True),
    "GRIT-plain": (M.GRIT, {"heads": 2}, False),
    "PPGT": (M.PPGT, {"heads": 2, "pair_encodings": ["stem"]}, True),
    "PPGT-plain": (M.PPGT, {"heads": 2}, False),
    "Relational": (M.RelationalTransformer, {"heads": 2, "pair_encodings": ["walks"]}, True),
    "Relational-sparse": (
        M.RelationalTransformer, {"heads": 2, "attention": "sparse", "pair_encodings": ["walks"]}, True
    ),
    "Relational-cat": (M.RelationalTransformer, {"heads": 2, "global_vector": "cat"}, False),
    "Relational-node": (M.RelationalTransformer, {"heads": 2, "global_vector": "node", "attention": "sparse"}, False),
    "EdgeTransformer": (M.EdgeTransformer, {"heads": 2, "pair_encodings": ["walks"]}, True),
    "EdgeTransformer-plain": (M.EdgeTransformer, {"heads": 2}, False),
    "Graphormer": (M.Graphormer, {"heads": 2, "pair_encodings": ["hops"]}, True),
    "Graphormer-plain": (M.Graphormer, {"heads": 2}, False),
    "GPS": (M.GPS, {"heads": 2, "pair_encodings": ["fire"]}, True),
    "GPS-GINE": (M.GPS, {"heads": 2, "local": "GINE"}, False),
    "GPS-linear": (M.GPS, {"heads": 2, "local": "GCN", "attention": "linear"}, False),
    "GPS-tree": (M.GPS, {"heads": 2, "local": "GAT", "attention": "tree"}, False),
    "GPS-rotary": (M.GPS, {"heads": 2, "attention": "rotary", "rotary_key": "x", "rotary_channels": 3}, False),
    "GPS-none": (M.GPS, {"heads": 2, "attention": "none"}, False),
    "SAT": (M.SAT, {"heads": 2}, False),
    "SAT-cls": (M.SAT, {"heads": 2, "readout": "cls", "pair_encodings": ["hops"]}, True),
    "Exphormer": (M.Exphormer, {"heads": 2, "degree": 0}, False),
    "Exphormer-expander": (M.Exphormer, {"heads": 2}, False),
    "Topological": (M.TopologicalTransformer, {"heads": 2}, False),
    "Topological-none": (M.TopologicalTransformer, {"heads": 2, "mask": "none"}, False),
}  # fmt: skip
WITH_PAIRS = [name for name, (_, _, pairs) in FORMS.items() if pairs]


def build(name: str, **changes: Any) -> nn.Module:
    torch.manual_seed(1)
    kind, options, _ = FORMS[name]
    made = {
        "walks": lambda: M.PairLinear("rrwp", 4, W),
        "nodes": lambda: M.PairLinear("rrwp", 4, W, node_width=W),
        "stem": lambda: M.PairMLP("rrwp", 4, W, node_width=W),
        "hops": lambda: M.PairBias("shortest_path", 2),
        "fire": lambda: M.PairBias("shortest_path", 2, head="fire"),
    }
    options = {**options, "pair_encodings": [made[key]() for key in options.get("pair_encodings", [])]}
    if not options["pair_encodings"]:
        del options["pair_encodings"]
    encoding = M.EigenvectorEncoding("x", 3, W, mask_key="laplacian_mask")
    modules = {"node_encoder": LinearNodes(3, W), "edge_encoder": M.LinearEdges(2, W), "encodings": [encoding]}
    model = kind(width=W, layers=2, **{**modules, **options, **changes})
    for parameter in model.parameters():  # as after some training
        if not bool(parameter.any()):
            nn.init.normal_(parameter, std=0.3)
    return model.eval()


def graph(nodes: int, edges: int, seed: int) -> Data:
    draw = torch.Generator().manual_seed(seed)
    return Data(
        x=torch.rand(nodes, 3, generator=draw),
        edge_index=torch.randint(max(nodes - 1, 1), (2, edges if nodes else 0), generator=draw),  # the last is isolated
        edge_attr=torch.rand(edges if nodes else 0, 2, generator=draw),
        laplacian_mask=torch.rand(1, 3, generator=draw) < 0.7,
    )


def with_pairs(data: Data) -> Data:
    """Values of all pairs of each graph, which follow from x: what a transform would compute again after a change."""
    data = data.clone()
    owner = data.batch if data.batch is not None else torch.zeros(data.num_nodes, dtype=torch.long)
    i, j = (owner.unsqueeze(1) == owner).nonzero().t()
    value = torch.stack([(data.x[i] * data.x[j].roll(k, 1)).sum(1) for k in range(4)], dim=1)
    data.rrwp, data.shortest_path = value.cos(), (8 * value[:, :1]).round()
    return data


def batch_of(sizes: tuple[int, ...] = (5, 0, 7, 4, 0)) -> Batch:
    return Batch.from_data_list([graph(n, 3 * n, seed) for seed, n in enumerate(sizes)])


def fresh(data: Data) -> Batch:
    """The graphs of a batch, taken apart by `batch` alone and batched again."""
    parts = []
    for number, mask in enumerate(data.laplacian_mask):
        nodes = (data.batch == number).nonzero().flatten()
        place = torch.full((len(data.batch),), -1).index_copy(0, nodes, torch.arange(len(nodes)))
        edges = place[data.edge_index]
        inside = (edges >= 0).all(0)
        parts.append(
            Data(
                x=data.x[nodes],
                edge_index=edges[:, inside],
                edge_attr=data.edge_attr[inside],
                laplacian_mask=mask[None],
            )
        )
    return Batch.from_data_list(parts)


def by_hand(batch: Batch) -> Data:
    return Data(**{key: batch[key] for key in ("x", "edge_index", "edge_attr", "laplacian_mask", "batch")})


def no_trailing(batch: Batch) -> Data:
    """By hand nothing tells of graphs without nodes at the end."""
    out = by_hand(batch)
    out.laplacian_mask = out.laplacian_mask[:4]
    return out


def without_ptr(batch: Batch) -> Batch:
    del batch.ptr
    return batch


def with_ptr(ptr: list[int]) -> Change:
    def change(batch: Batch) -> Batch:
        batch.ptr = torch.tensor(ptr)
        return batch

    return change


def only_ptr(batch: Batch) -> Data:
    out = by_hand(batch)
    out.ptr = batch.ptr
    del out.batch
    return out


def shuffled(batch: Batch) -> Data:
    return batch.subgraph(torch.randperm(batch.num_nodes, generator=torch.Generator().manual_seed(3)))


NOT_CHANGING: dict[str, Change] = {
    "as it is": lambda batch: batch,
    "no ptr": without_ptr,
    "Data with batch": no_trailing,
    "ptr of other sizes": with_ptr([0, 4, 4, 12, 16, 16]),
    "ptr of fewer graphs": with_ptr([0, 8, 16]),
    "32 bits": lambda batch: batch.update({"batch": batch.batch.int(), "edge_index": batch.edge_index.int()}),
}
CHANGING: dict[str, Change] = {
    "subgraph": lambda batch: batch.subgraph(torch.arange(16) % 3 != 0),
    "a graph's nodes are gone": lambda batch: batch.subgraph(batch.batch != 2),
    "RemoveIsolatedNodes": pyg.RemoveIsolatedNodes(),
    "LargestConnectedComponents": pyg.LargestConnectedComponents(connection="weak"),
    "isolated nodes of one graph": lambda batch: batch.subgraph((batch.batch != 3) | (torch.arange(16) < 14)),
}


@pytest.mark.parametrize("name", FORMS)
def test_right_values(name: str) -> None:
    """Of what PyG's operations leave behind and of what is made by hand; values of pairs computed after a change."""
    model, found = build(name), build(name, readout="none")
    for title, change in {**NOT_CHANGING, **CHANGING}.items():
        changed = change(batch_of())
        again = with_pairs(fresh(changed))
        changed = with_pairs(changed)
        torch.testing.assert_close(
            model(changed), model(again), rtol=1e-4, atol=1e-5, msg=lambda m, t=title: f"{t}: {m}"
        )
        torch.testing.assert_close(
            found(changed), found(again), rtol=1e-4, atol=1e-5, msg=lambda m, t=title: f"{t}: {m}"
        )


@pytest.mark.parametrize("name", FORMS)
def test_ptr_alone(name: str) -> None:
    batch = with_pairs(batch_of())
    alone = only_ptr(batch)
    alone.rrwp, alone.shortest_path = batch.rrwp, batch.shortest_path
    model = build(name)
    torch.testing.assert_close(model(alone), model(batch), rtol=1e-4, atol=1e-5)
    alone.ptr = torch.tensor([0, 5, 5, 12, 15, 15])
    with pytest.raises(
        GraphPEError, match=r"ptr must .* end with the number of nodes, 16 \(got \[0, 5, 5, 12, 15, 15\]\)"
    ):
        model(alone)


@pytest.mark.parametrize("name", FORMS)
def test_nodes_in_another_order(name: str) -> None:
    """As `to_homogeneous` and an index of nodes leave them: each node gets its own value."""
    batch = shuffled(batch_of())
    assert bool((batch.batch.diff() < 0).any())
    order = batch.batch.argsort(stable=True)
    model, found = build(name), build(name, readout="none")
    if FORMS[name][2]:
        with pytest.raises(GraphPEError, match=r"nodes in the order of their graphs.*batch.argsort\(stable=True\)"):
            model(with_pairs(batch))
        batch = with_pairs(batch.subgraph(order))  # what the message says
        torch.testing.assert_close(model(batch), model(with_pairs(fresh(batch))), rtol=1e-4, atol=1e-5)
        return
    torch.testing.assert_close(model(batch), model(fresh(batch)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found(batch)[order], found(fresh(batch)), rtol=1e-4, atol=1e-5)


def test_a_batch_of_graphs_with_several_kinds_of_nodes() -> None:
    def hetero(first: int, second: int) -> HeteroData:
        data = HeteroData()
        data["a"].x, data["b"].x = torch.rand(first, 3), torch.rand(second, 3)
        data["a", "to", "b"].edge_index = torch.stack([torch.randint(first, (4,)), torch.randint(second, (4,))])
        return data

    graphs = [hetero(2, 3), hetero(4, 1)]
    one = Batch.from_data_list(graphs).to_homogeneous()
    each = [graph.to_homogeneous() for graph in graphs]
    for name in ("GCN", "GPS-linear", "GraphTransformer-full", "GRIT-plain", "Topological", "SAT"):
        model = build(name, edge_encoder=None, encodings=())
        torch.testing.assert_close(model(one), torch.cat([model(data) for data in each]), rtol=1e-4, atol=1e-5)


def set_to(**values: Any) -> Change:
    def change(batch: Batch) -> Batch:
        for key, value in values.items():
            batch[key] = value(batch) if callable(value) else value
        return batch

    return change


def edge(value: int) -> Callable[[Batch], Tensor]:
    return lambda batch: batch.edge_index.index_fill(1, torch.tensor([2]), value)


def cut_before_batching(batch: Batch) -> Batch:
    graphs = [graph(6, 9, 0), graph(6, 9, 1)]
    for data, rows in zip(graphs, (4, 8), strict=True):  # 12 rows for 12 nodes
        data.num_nodes, data.x = 6, torch.rand(rows, 3)
        data.rrwp, data.shortest_path = torch.zeros(36, 4), torch.zeros(36, 1)
    return Batch.from_data_list(graphs)


ERRORS: dict[str, tuple[Change, str]] = {
    "VirtualNode": (pyg.VirtualNode(), r"joins graphs .*before graphs are batched|rows for \d+ edges"),
    "x is shorter": (set_to(x=lambda batch: batch.x[:12]), "batch.x has 12 rows for 16 nodes"),
    "x is longer": (set_to(x=lambda batch: batch.x.repeat(2, 1)), "batch.x has 32 rows for 16 nodes"),
    "x by graph": (cut_before_batching, "batch.x has 4 rows in graph 0 for 6 nodes"),
    "batch is shorter": (set_to(batch=lambda batch: batch.batch[:12]), r"holds node \d+, but the batch has 12 nodes"),
    "negative edge": (set_to(edge_index=edge(-1)), "edge_index holds node -1"),
    "edge too large": (set_to(edge_index=edge(16)), "edge_index holds node 16, but the batch has 16 nodes"),
    "edge to another graph": (
        set_to(edge_index=lambda batch: torch.tensor([[0], [15]])), r"edge 0, \[0, 15\], joins graphs 0 and 3"
    ),
    "no edges": (set_to(edge_index=None), "batch has no edge_index"),
    "edges are floats": (set_to(edge_index=lambda batch: batch.edge_index.float()), "must be integers"),
    "edges are rows": (set_to(edge_index=lambda batch: batch.edge_index.t()), r"must be integers \[2, num_edges\]"),
    "edge_attr": (set_to(edge_attr=lambda batch: batch.edge_attr[1:]), "batch.edge_attr has 47 rows for 48 edges"),
    "mask": (set_to(laplacian_mask=lambda batch: batch.laplacian_mask[1:]), "mask has 4 rows for 5 graphs"),
    "one mask": (set_to(laplacian_mask=lambda batch: batch.laplacian_mask[:1]), "mask has 1 rows for 5 graphs"),
    "negative graph": (set_to(batch=lambda batch: batch.batch - 1), "batch holds -1: graphs are numbered 0, 1, 2"),
    "graph of 2^60": (set_to(batch=lambda batch: batch.batch + 2**60), r"batch holds \d+: graphs are numbered 0, 1, 2"),
    "edges elsewhere": (set_to(edge_index=lambda batch: batch.edge_index.to("meta")), "edge_index is on meta.*cpu"),
    "batch is a text": (set_to(batch="text"), r"batch must be a tensor of integers.*got str"),
    "batch is floats": (set_to(batch=lambda batch: batch.batch.float()), r"batch must be a tensor of integers"),
    "batch is a matrix": (set_to(batch=lambda batch: batch.batch.unsqueeze(1)), "batch must be a vector"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_errors_of_one_line(name: str) -> None:
    model = build(name)
    for title, (change, message) in ERRORS.items():
        changed = change(with_pairs(batch_of()))
        with pytest.raises(GraphPEError, match=message) as caught:
            model(changed)
        assert "\n" not in str(caught.value), title


@pytest.mark.parametrize("name", WITH_PAIRS)
def test_pairs_computed_before_a_change_of_nodes(name: str) -> None:
    model = build(name)
    batch = with_pairs(batch_of())
    for change in CHANGING.values():
        with pytest.raises(GraphPEError, match=r"rows for \d+ ordered pairs of nodes .*: it was computed before nodes"):
            model(change(batch.clone()))
    one = with_pairs(graph(6, 9, 0))
    added = pyg.VirtualNode()(one.clone())
    added.edge_attr = torch.zeros(added.num_edges, 2)
    for changed in (one.subgraph(torch.tensor([0, 2, 5])), added, pyg.Pad(9)(one.clone())):
        with pytest.raises(GraphPEError, match=r"36 rows for \d+ ordered pairs of nodes .*apply T\.\w+\("):
            model(changed)
    few = batch.clone()
    few.rrwp, few.shortest_path = batch.rrwp[:-1], batch.shortest_path[:-1]
    with pytest.raises(GraphPEError, match="89 rows for 90 ordered pairs"):
        model(few)


@pytest.mark.parametrize("name", WITH_PAIRS)
def test_pairs_of_other_graphs_whose_number_is_right(name: str) -> None:
    """1 + 49 = 25 + 25: what PyG remembers of each graph tells them apart."""
    graphs = [with_pairs(graph(n, 9, n)) for n in (1, 7)]
    for data, n in zip(graphs, (5, 5), strict=True):
        other = graph(n, 9, n)
        data.x, data.edge_index, data.edge_attr = other.x, other.edge_index, other.edge_attr
    batch = Batch.from_data_list(graphs)
    assert len(batch.rrwp) == int(torch.bincount(batch.batch).square().sum())
    with pytest.raises(GraphPEError, match="has 1 rows in graph 0 for 25 ordered pairs of nodes"):
        build(name)(batch)


def test_modules_that_give_other_rows() -> None:
    class Rows(nn.Module):
        def forward(self, batch: Data) -> Tensor:
            return torch.zeros(1, W)

    for name in FORMS:
        model = build(name)
        for what in ("node_encoder", "edge_encoder", "encodings"):
            kept = getattr(model, what)
            setattr(model, what, nn.ModuleList([Rows()]) if what == "encodings" else Rows())
            message = rf"the {what.rstrip('s')} Rows gave \[1, 8\] for (16 nodes|48 edges)"
            with pytest.raises(GraphPEError, match=message):
                model(with_pairs(batch_of()))
            setattr(model, what, kept)


def test_sparse_features_are_named() -> None:
    batch = batch_of()
    batch.x = batch.x.to_sparse()
    for name in ("GatedGCN", "GRIT-plain", "Relational-cat"):
        with pytest.raises(GraphPEError, match=r"batch.x is a sparse tensor: set it to batch.x.to_dense\(\)"):
            build(name)(batch)
