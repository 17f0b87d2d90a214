"""A model's predictions over a part of a task, gathered from all devices."""

from __future__ import annotations

import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule
from torch import Tensor, nn
from torch.nn import functional

from graphpe.benchmarks.tasks.task import TaskAdapter
from graphpe.benchmarks.training.batch_transform import BatchTransform
from graphpe.benchmarks.training.distributed.ranks import gather
from graphpe.graphs.loader import PackedLoader
from graphpe.graphs.packed import PackedGraphs
from graphpe.graphs.ragged import Segments, take
from graphpe.progress import progress_bar


@torch.no_grad()
def collect_predictions(
    fabric: Fabric,
    model: nn.Module,
    adapter: TaskAdapter,
    graphs: PackedGraphs,
    transform: BatchTransform,
    indices: Tensor,
    *,
    batch_size: int,
    max_nodes: int | None = None,
    max_pairs: int | None = None,
    label: str,
    progress: bool,
) -> tuple[Tensor, float]:
    """Predict for the graphs `indices`.

    Batches hold graphs of similar size (no randomness, so the grouping only saves padding). Each device takes every
    `world_size`-th batch; all devices return the whole result.

    Returns:
        The predictions, each graph's rows in the order of `indices`, on the CPU; and the mean loss over the graphs.
    """
    bare = evaluated(model, fabric)
    batches = PackedLoader(
        graphs, batch_size, indices=indices, max_nodes=max_nodes, max_pairs=max_pairs, bucket_by_size=True
    ).batch_indices(epoch=0)
    mine = batches[fabric.global_rank :: fabric.world_size]
    idle = not mine
    rows: list[Tensor] = []
    loss = torch.zeros((), dtype=torch.float64, device=fabric.device)
    # A device without a batch predicts the first one, to know the shape of a prediction, and drops it.
    for batch_graphs in progress_bar(
        batches[:1] if idle else mine, desc=label, leave=False, disable=not progress, unit="batch"
    ):
        batch = transform(graphs.select(batch_graphs).to(fabric.device)).to_batch()
        with fabric.autocast():
            output = bare(batch)
        rows.append(adapter.predict_batch(output, batch).cpu())
        if not idle:
            loss += adapter.loss(output, batch).double() * len(batch_graphs)
    graph_ids = torch.zeros(0, dtype=torch.long) if idle else torch.cat(mine)
    counts = adapter.prediction_rows(graphs).cpu()
    predictions = torch.cat(rows)[: int(counts[graph_ids].sum())] if rows else torch.zeros(0)
    if fabric.world_size > 1:
        graph_ids, predictions = _gather(fabric, graph_ids), _gather(fabric, predictions)
        loss = fabric.all_reduce(loss, reduce_op="sum")  # type: ignore[assignment]
    # Graph ids may stand in any order, and in `indices` too: place each row where its graph is asked for.
    position = torch.argsort(graph_ids)[torch.argsort(torch.argsort(indices))]
    return _rows_of(predictions, counts[graph_ids], position), float(loss) / max(len(indices), 1)


def evaluated(model: nn.Module, fabric: Fabric) -> nn.Module:
    """A model for evaluation, without the wrapper that waits for other devices, and with the first one's statistics.

    Args:
        model: The model, as Fabric set it up or bare.
        fabric: The devices.
    """
    model.eval()
    # Without the wrapper for several devices: it waits for all of them at every batch, and their numbers may differ.
    bare = model.module if isinstance(model, _FabricModule) else model
    if fabric.world_size > 1:
        for buffer in bare.buffers():  # running statistics differ between devices; those of the first are saved
            torch.distributed.broadcast(buffer, 0)
    return bare


def _rows_of(rows: Tensor, counts: Tensor, order: Tensor) -> Tensor:
    """Runs of `counts` rows, put in another order."""
    ptr = functional.pad(counts.cumsum(0), (1, 0))
    return take(rows, Segments.pick(ptr.numpy(), order.numpy()).rows(rows.device))


def _gather(fabric: Fabric, rows: Tensor) -> Tensor:
    """Concatenate tensors whose first dimension differs between devices."""
    lengths = [int(part) for part in gather(fabric, torch.tensor([len(rows)], device=fabric.device))]
    padded = torch.zeros((max(lengths), *rows.shape[1:]), dtype=rows.dtype, device=fabric.device)
    padded[: len(rows)] = rows.to(fabric.device)
    return torch.cat([part[:length] for part, length in zip(gather(fabric, padded), lengths, strict=True)]).cpu()
