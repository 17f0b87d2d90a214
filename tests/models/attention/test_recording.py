"""Weights that are asked for are those that the result was made with."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch_geometric.data import Batch, Data

from graphpe import models as M
from graphpe import transforms as T
from graphpe.models.attention.recording import record_attention, recording

pytestmark = pytest.mark.filterwarnings("ignore:.*does not read")

COMMON = {"node_encoder": M.LinearNodes(3, 16), "layers": 2, "heads": 4, "width": 16}
WITHOUT_HEADS = {name: value for name, value in COMMON.items() if name != "heads"}
MODELS = {
    "GraphTransformer": lambda: M.GraphTransformer(**COMMON, attention="full"),
    "GraphTransformer over edges": lambda: M.GraphTransformer(**COMMON, attention="sparse"),
    "GraphTransformer with pairs": lambda: M.GraphTransformer(**COMMON, attention="full", update_edges=True),
    "GPS": lambda: M.GPS(**COMMON, attention="softmax"),
    "GRIT": lambda: M.GRIT(**COMMON),
    "GRIT over edges": lambda: M.GRIT(**COMMON, attention="sparse"),
    "Graphormer": lambda: M.Graphormer(**COMMON, pair_encodings=[M.PairBias("rrwp", 4, channels=3, head="mlp")]),
    "SAT": lambda: M.SAT(**COMMON),
    "Exphormer": lambda: M.Exphormer(**COMMON),
    "RelationalTransformer": lambda: M.RelationalTransformer(**COMMON),
    "EdgeTransformer": lambda: M.EdgeTransformer(**COMMON),
}


@pytest.fixture(scope="module")
def graphs() -> list[Data]:
    out = []
    for seed, n in enumerate((7, 1, 12)):
        generator = torch.Generator().manual_seed(seed)
        edges = torch.randint(0, n, (2, 2 * n), generator=generator)
        out.append(Data(x=torch.randn(n, 3, generator=generator), edge_index=edges))
    return T.RelativeRandomWalkPE(3)(out)


@pytest.mark.parametrize("name", MODELS)
def test_rows_sum_to_one_and_nothing_else_changes(name, graphs):
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    batch = Batch.from_data_list(graphs)
    with torch.no_grad():
        expected = model(batch)
        with record_attention() as layers:
            assert recording()
            got = model(batch)
        assert not recording()
        alone = []
        for graph in graphs:
            with record_attention() as own:
                model(Batch.from_data_list([graph]))
            alone.append([layer.matrix() for layer in own])
    assert torch.equal(got, expected)
    assert len(layers) == 2
    ptr = [0, 7, 8, 20]
    for number, layer in enumerate(layers):
        weights = layer.matrix()
        assert weights.shape[0] == 4
        assert (weights >= 0).all()
        sums = weights.sum(2)
        over_edges = name.endswith("over edges") and not name.startswith("GRIT")
        if over_edges:  # nodes in which no edge ends get nothing
            fed = torch.zeros(20, dtype=torch.bool).index_fill(0, batch.edge_index[1], True)
            torch.testing.assert_close(sums, fed.float().expand(4, -1))
        else:
            torch.testing.assert_close(sums, torch.ones_like(sums))
        if layer.num_nodes == 20:  # one graph at a time gives the same, and no weight joins two graphs
            inside = torch.zeros(20, 20, dtype=torch.bool)
            for graph, (first, last) in enumerate(pairwise(ptr)):
                inside[first:last, first:last] = True
                if name != "Exphormer":  # whose expander depends on the batch
                    torch.testing.assert_close(weights[:, first:last, first:last], alone[graph][number])
            assert not weights[:, ~inside].any()


def test_the_output_can_be_computed_from_the_weights(graphs):
    torch.manual_seed(1)
    width, heads = 16, 4
    model = M.GPS(**COMMON, attention="softmax").eval()
    seen = []
    for module in model.modules():
        if type(module).__name__ == "MultiHeadAttention":
            module.register_forward_hook(lambda module, given, out: seen.append((module, given[0], out)))
    with torch.no_grad(), record_attention() as layers:
        model(Batch.from_data_list(graphs))
    assert len(seen) == len(layers) == 2
    for (module, x, out), layer in zip(seen, layers, strict=True):
        values = module.value(x).view(-1, heads, width // heads).transpose(0, 1)
        torch.testing.assert_close(module.out((layer.matrix() @ values).transpose(0, 1).flatten(1)), out)


@pytest.mark.parametrize("build", [lambda: M.GPS(**COMMON, attention="linear"), lambda: M.GCN(**WITHOUT_HEADS)])
def test_what_has_no_weights_notes_none(build, graphs):
    with record_attention() as layers, torch.no_grad():
        build().eval()(Batch.from_data_list(graphs))
    assert layers == []


def test_compiled_passes_note_the_same(graphs):
    from graphpe.compiled.jit import everything_compiled

    torch.manual_seed(2)
    for build in (MODELS["GRIT"], MODELS["RelationalTransformer"], MODELS["EdgeTransformer"]):
        model, batch, found = build().eval(), Batch.from_data_list(graphs), []
        with torch.no_grad():
            for compiled in (False, True):
                with record_attention() as layers:
                    if compiled:
                        with everything_compiled():
                            model(batch)
                    else:
                        model(batch)
                found.append([layer.matrix() for layer in layers])
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
