"""Which source a run takes its batches from."""

from __future__ import annotations

from lightning_fabric import Fabric

from graphpe.benchmarks.pretraining.adapter import EncodingAdapter
from graphpe.benchmarks.pretraining.auxiliary import AuxiliaryAdapter
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
    check_sampler(data, config, fabric.world_size)
    if data.unit == "graph":
        return WholeGraphs(data, graphs, transform, config, fabric, padded=padded)
    if isinstance(data, LinkData):
        return LinkBatches(data, graphs, transform, config, fabric)
    return _OF_NODES[config.sampler](data, graphs, transform, config, fabric)


def check_sampler(data: TaskData, config: TrainConfig, devices: int) -> None:
    """Check before anything is encoded that a run's sampler fits its task.

    Args:
        data: The task's data.
        config: The run's options.
        devices: On how many devices it trains.

    Raises:
        GraphPEValueError: It does not.
    """
    sampler, nodes = config.sampler, data.graphs.num_nodes
    if config.rewire and data.unit != "graph":
        raise GraphPEValueError(
            f"rewire={config.rewire} adds edges to each graph of a batch, and this task is about {data.unit}s of "
            "shared graphs: leave it 0"
        )
    if data.unit == "graph":
        if sampler != "whole":
            raise GraphPEValueError(
                f"sampler={sampler!r} samples nodes of one graph, and this task is about whole graphs: leave it out"
            )
        return
    asked = data.adapter.encodings if isinstance(data.adapter, AuxiliaryAdapter) else data.adapter
    if sampler != "whole" and isinstance(asked, EncodingAdapter) and asked.of_pairs:
        raise GraphPEValueError(
            f"sampler={sampler!r} cuts the pairs that {asked.of_pairs[0].name} is predicted for: use "
            "sampler='whole', or predict encodings of nodes"
        )
    links = isinstance(data, LinkData)
    if links and sampler == "partitions":
        raise GraphPEValueError("sampler='partitions' cuts links: use sampler='whole' or 'neighbors'")
    if sampler != "whole" and not links and len(data.graphs) > 1:
        raise GraphPEValueError(
            f"sampler={sampler!r} samples nodes of one graph, and the data has {len(data.graphs):,}: use "
            "sampler='whole'"
        )
    if sampler == "whole" and devices > 1:
        others = "'neighbors'" if links else "'neighbors' or 'partitions'"
        raise GraphPEValueError(
            f"sampler='whole' makes each step on the whole graph, which {devices} devices cannot share: use one "
            f"device, or sampler={others}"
        )
    if sampler == "partitions" and config.parts > nodes:
        raise GraphPEValueError(f"parts is {config.parts}, but the graph has {nodes:,} nodes: give fewer parts")
    if sampler == "partitions" and config.batch_size >= config.parts:
        raise GraphPEValueError(
            f"batch_size={config.batch_size} of parts={config.parts} parts in a batch is the whole graph: give a "
            "smaller batch_size, more parts, or sampler='whole'"
        )
