from __future__ import annotations

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch_geometric.data import Batch

from graphpe.benchmarks.tasks.node_level import NodeAdapter
from graphpe.benchmarks.training.batch_transform import BatchTransform
from graphpe.benchmarks.training.evaluation import collect_predictions
from graphpe.graphs.packed import PackedGraphs


class Echo(nn.Module):
    def forward(self, batch: Batch) -> Tensor:
        return batch.x


def test_rows_of_nodes_come_back_in_the_order_asked_for() -> None:
    sizes = torch.randint(0, 6, (30,))
    ptr = torch.cat([torch.zeros(1, dtype=torch.long), sizes.cumsum(0)])
    nodes = int(ptr[-1])
    graphs = PackedGraphs(
        torch.zeros(2, 0, dtype=torch.long),
        ptr,
        torch.zeros(31, dtype=torch.long),
        node={"x": torch.randn(nodes, 2), "y": torch.randint(0, 2, (nodes, 1))},
    )
    adapter = NodeAdapter((), (), 2, "classes", node_channels=2)
    indices = torch.randperm(30)[:20]
    found, _ = collect_predictions(
        Fabric(accelerator="cpu"),
        Echo(),  # type: ignore[arg-type]
        adapter,
        graphs,
        BatchTransform([], adapter),
        indices,
        batch_size=3,
        label="test",
        progress=False,
    )
    assert torch.equal(found, graphs.select(indices).node["x"])
