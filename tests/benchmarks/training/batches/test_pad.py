"""Batches that are padded are, to every loss, gradient and statistic, what they are without."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from graphpe.benchmarks.calls.build import build_encodings, build_model
from graphpe.benchmarks.measure.gpu.cases import FIRST, REST, Case
from graphpe.benchmarks.training.batches.pad import Padded, pad
from graphpe.benchmarks.training.batches.shapes import Shape, choose_shapes
from graphpe.errors import GraphPERuntimeError
from graphpe.graphs.packed import PackedGraphs
from graphpe.models.batches.real_rows import REAL, real_among, real_rows_of
from graphpe.models.layers.normalization import RowBatchNorm
from graphpe.transforms.compose import Compose

CASES = {case.name: case for case in [*FIRST, *REST]}
FAST = [
    "GatedGCN(width=16, layers=2) LaplacianPE(k=4) absolute",
    "GraphTransformer(..., attention='full', update_edges=True, norm='layer', readout='sum') LaplacianPE(k=4) absolute",
    "GRIT(..., attention='full', attention_dropout=0.0) RelativeRandomWalkPE(8) absolute",
    "RelationalTransformer(..., attention='full', global_vector='node') RelativeRandomWalkPE(8) absolute",
    "GPS(...) ShortestPathPE(max_distance=6) RandomWalkPE(8) absolute",
    "GPS(..., attention='rotary', rotary_channels=4) SpectralCoordinates(k=4) absolute",
    "Graphormer(...) EdgePathPE(3, num_types=(4,)) ResistancePE() absolute",
    "GraphTransformer(..., readout='none') balanced",
]
_NOT = ("attention='sparse'", "SAT", "Exphormer", "NeuralWalker", "pair_level")
SLOW = [
    name
    for name, case in CASES.items()
    if name not in FAST and case.level != "pair" and ("GraphTransformer" in name or not any(no in name for no in _NOT))
]


def shapes_around(graphs: PackedGraphs) -> list[Shape]:
    """A shape that is much larger than these graphs."""
    sizes = np.diff(graphs.host_ptr)
    return choose_shapes([(sizes, graphs.num_edges), (np.append(sizes, [30, 12]), graphs.num_edges + 90)])[-1:]


def step(case: Case, graphs: PackedGraphs) -> tuple[Tensor, Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """Loss, output, gradients and buffers of a model without dropout in float64."""
    torch.manual_seed(0)
    encodings = build_encodings(case.encodings)
    model = build_model(case.model, case.adapter, encodings, encoder=case.encoder, bias=case.bias).double()
    for part in model.modules():
        for name in ("dropout", "attention_dropout", "p"):
            if isinstance(getattr(part, name, None), float):
                setattr(part, name, 0.0)
    for parameter in model.parameters():  # what starts at zero hides errors
        if not parameter.detach().any():
            nn.init.normal_(parameter, std=0.1)
    batch = graphs.to_batch()
    torch.manual_seed(1)
    with real_rows_of(batch):
        output = model(batch)
        loss = case.adapter.loss(output, batch)
    loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return loss.detach(), output.detach(), gradients, dict(model.named_buffers())


@pytest.mark.parametrize("name", [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_losses_outputs_gradients_and_statistics_are_those_without(name: str) -> None:
    case = CASES[name]
    encodings = build_encodings(case.encodings)
    graphs = Compose(encodings)(case.graphs()) if encodings else case.graphs()
    padded = pad(graphs, shapes_around(graphs))
    assert padded.num_nodes > graphs.num_nodes + 10
    (loss, output, gradients, buffers), (its_loss, its_output, its_gradients, its_buffers) = (
        step(case, each) for each in (graphs, padded)
    )
    torch.testing.assert_close(its_loss, loss, atol=1e-6, rtol=1e-6)  # losses are in float32
    torch.testing.assert_close(its_output[: len(output)], output, atol=1e-7, rtol=1e-7)
    largest = max(float(gradient.norm()) for gradient in gradients.values())
    for key, gradient in gradients.items():
        assert float((its_gradients[key] - gradient).norm()) < 1e-9 * largest, key
    for key, buffer in buffers.items():
        torch.testing.assert_close(its_buffers[key], buffer, atol=1e-6, rtol=1e-6)


def test_a_shape_is_filled_exactly_and_real_graphs_come_first() -> None:
    graphs = CASES[FAST[4]].graphs()
    graphs = dataclasses.replace(graphs, edge_weight=torch.rand(graphs.num_edges))
    (shape,) = shapes_around(graphs)
    padded = pad(graphs, [shape])
    sizes = (padded.num_nodes, padded.num_edges, padded.num_pairs, padded.num_graphs)
    assert sizes == (shape.nodes, shape.edges, shape.pairs, shape.graphs)
    PackedGraphs(  # whose checks find no edge between graphs, and pointers that are right
        **{field.name: getattr(padded, field.name) for field in dataclasses.fields(PackedGraphs)}
    )
    assert np.array_equal(padded.host_ptr, padded.ptr.numpy())
    assert np.array_equal(padded.host_edge_ptr, padded.edge_ptr.numpy())
    again = padded.select(torch.arange(graphs.num_graphs))
    assert torch.equal(again.edge_index, graphs.edge_index)
    assert torch.equal(again.node["x"], graphs.node["x"])
    assert bool(padded.graph["y"][graphs.num_graphs :].isnan().all())
    for level, rows in (("node", graphs.num_nodes), ("edge", graphs.num_edges), ("pair", graphs.num_pairs)):
        mask = getattr(padded, level)[REAL[level]]
        assert torch.equal(mask, (torch.arange(len(mask)) < rows).float())
    assert bool((padded.edge_weight == 1)[graphs.num_edges :].all())  # type: ignore[index]


def test_what_fits_into_no_shape_is_left_as_it_is() -> None:
    graphs = CASES[FAST[4]].graphs()
    (shape,) = shapes_around(graphs)
    small = dataclasses.replace(shape, nodes=graphs.num_nodes)
    assert pad(graphs, [small]) is graphs
    batch = Padded(lambda each: each, [small]).mark(graphs.to_batch())
    assert "padded_to" not in batch


def test_normalisation_over_other_rows_of_a_padded_batch_is_refused() -> None:
    graphs = CASES[FAST[4]].graphs()
    batch = pad(graphs, shapes_around(graphs)).to_batch()
    with real_rows_of(batch), pytest.raises(GraphPERuntimeError, match=r"over 7 rows of a padded batch.*--no-graphs"):
        RowBatchNorm(3)(torch.randn(7, 3))
    assert real_among(7) is None
