"""`PackedLoader`, its graphs and evaluation on the pretended accelerator."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from graphpe.benchmarks.calls.build import build_encodings, build_model
from graphpe.benchmarks.measure.gpu.cases import random_graphs
from graphpe.benchmarks.measure.pretend.accelerator import move_module, pretending, to_host
from graphpe.benchmarks.measure.pretend.tensors import DEVICE
from graphpe.benchmarks.tasks.code.source.edges import add_inverse_edges, flag_syntax_edges
from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.benchmarks.training.batch_transform import BatchTransform
from graphpe.benchmarks.training.evaluation import collect_predictions
from graphpe.graphs.loader import PackedLoader
from graphpe.graphs.packed import PackedGraphs
from graphpe.models.attention.padding import padded_layout, padded_nodes
from graphpe.models.batches.nodes import node_to_graph
from graphpe.models.batches.on_host import structure_on_host
from graphpe.models.layers.virtual_nodes import extend
from graphpe.storage.chunks import encode_in_chunks
from graphpe.transforms.compose import Compose
from graphpe.transforms.laplacian_pe import LaplacianPE
from graphpe.transforms.relative_random_walk_pe import RelativeRandomWalkPE


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("options", [{}, {"bucket_by_size": True, "max_pairs": 4000}])
def test_batches_are_those_of_the_cpu_and_none_waits(there: bool, options: dict[str, Any]) -> None:
    packed = LaplacianPE(k=3)(random_graphs(40))
    expected = list(PackedLoader(packed, 8, shuffle=True, **options))
    with pretending() as seen:
        source = packed.to(DEVICE, non_blocking=True) if there else packed
        loader = PackedLoader(source, 8, shuffle=True, device=DEVICE, **options)
        seen.events.clear()
        batches = list(loader)
    assert not seen.syncs, seen.report()
    for mine, other in zip(expected, batches, strict=True):
        assert other.x.device == DEVICE
        for key in ("x", "edge_index", "edge_attr", "laplacian_eigenvector_pe", "laplacian_mask", "batch", "ptr", "y"):
            assert torch.equal(mine[key], to_host(other[key])), key
        assert (mine.num_pairs, mine.max_size) == (other.num_pairs, other.max_size)


def test_graphs_are_padded_in_groups_of_their_size_without_a_wait() -> None:
    sizes = np.clip(np.random.default_rng(0).lognormal(3.1, 0.5, 128), 1, None).astype(int)
    sizes[:3] = 1, 150, 222  # a few molecules are large
    ring = [torch.stack([torch.arange(n), torch.arange(n).roll(1)]) for n in sizes]
    packed = PackedGraphs.from_data_list([Data(x=torch.ones(len(e[0]), 1), edge_index=e) for e in ring])
    with pretending() as seen:
        (batch,) = PackedLoader(packed, len(sizes), device=DEVICE)
        members = node_to_graph(batch)
        nodes = padded_nodes(members)
        wider = padded_nodes(extend(members).members)
        layout = padded_layout(members, batch.edge_index, 2)
    assert not seen.syncs, seen.report()
    for made, more in ((nodes, 0), (wider, 1)):
        padded = sum(block.graphs * block.size**2 for block in made.blocks)
        assert padded < 2 * ((sizes + more) ** 2).sum(), "one size for all would be 10 times as many pairs as there are"
        assert torch.equal(to_host(made.node[made.place]), torch.arange(sizes.sum() + more * len(sizes)))
        kept = sum(int((to_host(block.key_mask) == 0).sum()) for block in made.blocks)
        assert kept == sizes.sum() + more * len(sizes)
    assert [(b.graphs, b.size) for b in layout.blocks] == [(b.graphs, b.size) for b in nodes.blocks]
    assert torch.equal(to_host(layout.place), to_host(nodes.place))


def test_pairs_are_encoded_there() -> None:
    packed, encoding = random_graphs(20), RelativeRandomWalkPE(8)
    expected = list(PackedLoader(packed, 8, transform=encoding))
    with pretending():
        batches = list(PackedLoader(packed, 8, transform=encoding, device=DEVICE))
    for mine, other in zip(expected, batches, strict=True):
        assert other.rrwp.device == DEVICE
        torch.testing.assert_close(to_host(other.rrwp), mine.rrwp, atol=1e-6, rtol=1e-5)


def test_graphs_there_are_selected_taken_apart_and_encoded_in_chunks() -> None:
    packed = random_graphs(20)
    encoding = Compose([LaplacianPE(k=3, sign="canonical"), RelativeRandomWalkPE(4)])
    expected = encode_in_chunks(packed, encoding)
    with pretending():
        moved = packed.to(DEVICE)
        alone = moved[5]
        for mine, other in zip(packed.select([3, 1]).to_data_list(), moved.select([3, 1]).to_data_list(), strict=True):
            assert torch.equal(mine.edge_index, to_host(other.edge_index))
        encoded = encode_in_chunks(packed, encoding, device=DEVICE)
    assert torch.equal(to_host(alone.x), packed[5].x)
    assert encoded.pair["rrwp"].device.type == "cpu"
    torch.testing.assert_close(encoded.pair["rrwp"], expected.pair["rrwp"], atol=1e-6, rtol=1e-5)


def test_predictions_are_those_of_the_cpu() -> None:
    packed, adapter = random_graphs(20), GraphAdapter((9, 9), (4,), 3, "absolute")
    encodings = build_encodings(["RelativeRandomWalkPE(8)"])

    def predicted(device: torch.device) -> tuple[Any, float]:
        torch.manual_seed(0)
        model = build_model("GRIT(width=16, heads=4, layers=2)", adapter, encodings)
        if device == DEVICE:
            move_module(model)
        fabric: Any = types.SimpleNamespace(device=device, world_size=1, global_rank=0, autocast=torch.no_grad)
        options: dict[str, Any] = {"batch_size": 8, "label": "test", "progress": False}
        transform = BatchTransform(encodings, adapter)
        return collect_predictions(fabric, model, adapter, packed, transform, torch.arange(20), **options)

    expected, loss = predicted(torch.device("cpu"))
    with pretending():
        given, loss_there = predicted(DEVICE)
    assert given.device.type == "cpu"
    torch.testing.assert_close(given, expected, atol=1e-5, rtol=1e-4)
    assert abs(loss - loss_there) < 1e-5


def test_inverse_edges_of_code_are_added_without_a_wait() -> None:
    packed = flag_syntax_edges(random_graphs(20).structure())
    expected = list(PackedLoader(packed, 8, transform=add_inverse_edges))
    with pretending() as seen:
        batches = list(PackedLoader(packed, 8, transform=add_inverse_edges, device=DEVICE))
    assert not seen.syncs, seen.report()
    for mine, other in zip(expected, batches, strict=True):
        assert torch.equal(mine.edge_index, to_host(other.edge_index))
        known = structure_on_host(other)
        assert known is not None
        assert torch.equal(known.edge_index, mine.edge_index)
