"""Which source a run takes its batches from."""

from __future__ import annotations

from lightning_fabric import Fabric

from graphpe.benchmarks.tasks.links.link_data import LinkData
from graphpe.benchmarks.tasks.task import TaskData
from graphpe.benchmarks.training.batch_transform import BatchTransform
from graphpe.benchmarks.training.batches.links import LinkBatches
from graphpe.benchmarks.training.batches.samplers import Neighbors, Partitions
from graphpe.benchmarks.training.batches.shared_graph import WholeAtOnce
from graphpe.benchmarks.training.batches.source import BatchSource
from graphpe.benchmarks.training.batches.whole_graphs import WholeGraphs
from graphpe.benchmarks.training.config import Sampler, TrainConfig
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs

_OF_NODES: dict[Sampler, type[WholeAtOnce | Neighbors | Partitions]] = {
    "whole": WholeAtOnce,
    "neighbors": Neighbors,
    "partitions": Partitions,
}


def batch_source(
    data: TaskData,
    graphs: PackedGraphs,
    transform: BatchTransform,
    config: TrainConfig,
    fabric: Fabric,
    *,
    padded: bool = False,
) -> BatchSource:
    """The source that fits a task and the options of a run.

    Args:
        data: The task's data.
        graphs: Its graphs, encoded.
        transform: What is done to the graphs of each batch.
        config: The run's options.
        fabric: Its devices.
        padded: Whether batches of whole graphs are padded to a few shapes.

    Raises:
        GraphPEValueError: The sampler is not for this task.
    """
    if data.unit == "graph":
        if config.sampler != "whole":
            raise GraphPEValueError(
                f"sampler={config.sampler!r} samples nodes of one graph, and this task is about whole graphs: leave it "
                "out"
            )
        return WholeGraphs(data, graphs, transform, config, fabric, padded=padded)
    if isinstance(data, LinkData):
        return LinkBatches(data, graphs, transform, config, fabric)
    if config.sampler != "whole" and len(graphs) > 1:
        raise GraphPEValueError(
            f"sampler={config.sampler!r} samples nodes of one graph, and the data has {len(graphs):,}: use "
            "sampler='whole'"
        )
    return _OF_NODES[config.sampler](data, graphs, transform, config, fabric)
