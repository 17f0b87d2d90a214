"""Which runs capture their steps, and why others do not."""

from __future__ import annotations

from collections.abc import Callable

from lightning_fabric import Fabric
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.benchmarks.tasks.task import TaskData
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.steps.captured import CudaGraphs, Engine
from graphpe.models.attention.positions.node_positions import NodePositions
from graphpe.models.attention.terms.pair_terms import PairTerms
from graphpe.models.edge_transformer import EdgeTransformer
from graphpe.models.encoders.persistence import PersistenceEncoding
from graphpe.models.gps import GPS
from graphpe.models.graph_transformer import GraphTransformer
from graphpe.models.graphormer import Graphormer
from graphpe.models.grit import GRIT
from graphpe.models.layers.normalization import RowBatchNorm
from graphpe.models.message_passing import GCN, GINE, GatedGCN
from graphpe.models.ppgt import PPGT
from graphpe.models.relational_transformer import RelationalTransformer
from graphpe.models.topological_transformer import TopologicalTransformer
from graphpe.models.walks.neural_walker import NeuralWalker

ENGINES: dict[str, Callable[[], Engine]] = {"cuda": CudaGraphs}
"""What captures, by kind of device."""

_ALL_PAIRS = (GRIT, RelationalTransformer)
_WITH_TREES = (GPS, TopologicalTransformer)
_OTHERS = (EdgeTransformer, GCN, GINE, GatedGCN, GraphTransformer, Graphormer, PPGT)


def capturing(model: nn.Module, data: TaskData, config: TrainConfig, fabric: Fabric) -> tuple[Engine | None, str]:
    """What captures the steps of a run, and why it does not where nothing does: empty where nobody asks.

    Args:
        model: The model, bare.
        data: The task's data.
        config: The run's options.
        fabric: Its devices.
    """
    engine = ENGINES.get(fabric.device.type)
    if engine is None or not config.graphs:
        return None, ""
    why = _why_not(model, data, config, fabric)
    return (None, f"steps are not captured: {why}") if why else (engine(), "")


def _why_not(model: nn.Module, data: TaskData, config: TrainConfig, fabric: Fabric) -> str:
    adapter = data.adapter
    if fabric.world_size > 1:
        return "there are several devices"
    if config.precision == "16-mixed":
        return "precision 16-mixed reads from the device whether gradients overflowed"
    if config.rewire:
        return "edges are added to each batch on the host, in other numbers each time"
    if config.accumulate > 1:
        return "gradients of several batches make a step"
    if config.clip > 0 and config.clip_by != "norm":
        return f"clip_by={config.clip_by!r} was not tried in captured steps"
    if adapter.level == "pair":
        return "values of pairs of padded batches were not tried"
    own_graphs = type(adapter).model_graphs is GraphAdapter.model_graphs if isinstance(adapter, GraphAdapter) else False
    if data.unit != "graph" or not own_graphs:
        return f"batches of {type(adapter).__name__} are not padded, and so differ in their shapes"
    return _of_model(model)


def _of_model(model: nn.Module) -> str:
    name = type(model).__name__
    if isinstance(model, NeuralWalker):
        return f"{name} draws walks on the host in each step, of other lengths each time"
    if type(model) not in (*_ALL_PAIRS, *_WITH_TREES, *_OTHERS):
        return f"{name} builds what depends on the graphs on the host, or it is not known whether it does"
    if isinstance(model, _ALL_PAIRS) and model.attention != "full":
        return f"attention={model.attention!r} of {name} is over pairs that the host counts for each batch"
    if isinstance(model, EdgeTransformer) and model.checkpoint and (model.dropout or model.attention_dropout):
        return "dropout that is drawn again in layers of checkpoint=True asks for the state of CUDA's generator"
    if isinstance(model, _WITH_TREES) and model.attention_layout == "trees":
        return "trees are built on the host for each batch"
    if isinstance(model, GPS) and not isinstance(model.local, str):
        return "it is not known whether a local layer of one's own depends on the graphs on the host"
    if getattr(model, "virtual_node", False) and getattr(model, "norm", "") == "batch":
        return "batch normalisation of virtual nodes would count the dummy graphs of padded batches"
    for part in model.modules():
        kind = type(part)
        if isinstance(part, NodePositions) and part.on_host:
            return f"{kind.__name__} builds trees on the host for each batch"
        if kind.__module__.partition(".")[0] not in ("graphpe", "torch", "torch_geometric"):
            return f"it is not known whether {kind.__name__} in {name} depends on the graphs on the host"
        if isinstance(part, PairTerms) and part.on_host:
            return f"{kind.__name__} builds paths on the host for each batch"
        if isinstance(part, PersistenceEncoding):
            return f"{kind.__name__} builds diagrams on the host for each batch"
        if isinstance(part, _BatchNorm) and not isinstance(part, RowBatchNorm):
            return f"the batch normalisation {kind.__name__} in {name} would count dummy rows of padded batches"
    return ""
