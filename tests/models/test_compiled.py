"""What `torch.compile` makes of a step: one graph, whatever the sizes of a batch, and few for batches of one shape."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters

from graphpe.benchmarks.calls.build import build_encodings, build_model
from graphpe.benchmarks.measure.gpu.cases import random_graphs
from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.benchmarks.training.batches.pad import Padded
from graphpe.benchmarks.training.batches.shapes import shape_of
from graphpe.graphs.loader import PackedLoader
from graphpe.models.batches.real_rows import real_rows_of
from graphpe.transforms.compose import Compose

pytestmark = pytest.mark.slow  # to trace a step takes seconds

CASES = {
    "GPS(width=16, heads=4, layers=1, local='GINE')": "LaplacianPE(k=4)",
    "GRIT(width=16, heads=4, layers=1)": "RelativeRandomWalkPE(8)",
    "EdgeTransformer(width=16, heads=4, layers=1)": "RelativeRandomWalkPE(8)",
}


@pytest.mark.parametrize("text", CASES)
@pytest.mark.parametrize(("padded", "most"), [(False, 1), (True, 3)])
def test_a_step_is_few_graphs_without_a_break(text: str, padded: bool, most: int) -> None:
    adapter, encodings = GraphAdapter((9, 9), (4,), 3, "absolute"), build_encodings([CASES[text]])
    packed = Compose(encodings)(random_graphs(24, seed=3))
    sizes = [(np.diff(batch.ptr.numpy()), batch.num_edges) for batch in PackedLoader(packed, 6, shuffle=True)]
    transform = Padded(lambda graphs: graphs, [shape_of(sizes)] if padded else [])
    torch.manual_seed(0)
    torch._dynamo.reset()
    counters.clear()
    model = torch.compile(build_model(text, adapter, encodings), backend="eager", dynamic=None if padded else True)
    for batch in PackedLoader(packed, 6, shuffle=True, transform=transform):
        with real_rows_of(transform.mark(batch)):
            adapter.loss(model(batch), batch).backward()
    assert not counters["graph_break"], counters["graph_break"]
    assert counters["stats"]["unique_graphs"] <= most
