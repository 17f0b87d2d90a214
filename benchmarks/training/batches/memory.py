"""Whether attention over all pairs of nodes of one large graph fits into memory, before anything is computed."""

from __future__ import annotations

from typing import Any

import torch

from graphpe.benchmarks.console.memory import memory_limit
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.limits import format_bytes
from graphpe.models import Graphormer, GraphTransformer, PEARLEncoding

_COPIES = 3  # scores, weights and what dropout leaves of them; or as many vectors of pairs: kept for the gradient
_OF_PAIRS = ("all pairs", "pair list", "triplets")


def check_attention_fits(model: Any, graphs: PackedGraphs, config: TrainConfig, device: torch.device) -> None:
    """Refuse a model whose attention over all pairs of nodes of the whole graph takes more memory than there is.

    Counts 3 heads L n^2 numbers where attention has biases of pairs, 3 d L n^2 where it has vectors of pairs, in
    float32 (L layers, width d); attention that a fused kernel computes has none of these. Likewise of encodings with
    features of pairs.

    Args:
        model: The model.
        graphs: The graphs that all parts of the split share.
        config: The run's options.
        device: Where the model computes.

    Raises:
        GraphPEValueError: It does not fit.
    """
    if config.sampler != "whole" and config.evaluation != "whole":
        return
    _check_basis_features(model, graphs, device)
    needed = 4 * _numbers_of_a_pair(model) * graphs.num_pairs
    limit = _memory(device)
    if limit is not None and needed > limit:
        sampled = "sampler='neighbors'" if config.sampler == "whole" else f"sampler={config.sampler!r}"
        raise GraphPEValueError(
            f"{type(model).__name__} attends to all pairs of {graphs.max_size:,} nodes, which takes about "
            f"{format_bytes(needed)} of {format_bytes(limit)} memory: take GraphTransformer(attention='sparse'), "
            "GPS(attention='linear'), Exphormer or TopologicalTransformer, or see parts of the graph with "
            f"{sampled} and evaluation='sampled'"
        )


def _check_basis_features(model: Any, graphs: PackedGraphs, device: torch.device) -> None:
    """Refuse basis features, of which there is one for each pair of nodes, where they take more memory than there is.

    Raises:
        GraphPEValueError: They do.
    """
    limit = _memory(device)
    for part in model.modules():
        if isinstance(part, PEARLEncoding) and part.features == "basis":
            needed = 4 * _COPIES * part.layers * part.hidden * graphs.num_pairs
            if limit is not None and needed > limit:
                raise GraphPEValueError(
                    f"PEARLEncoding(features='basis') has a vector for each pair of {graphs.max_size:,} nodes, about "
                    f"{format_bytes(needed)} of {format_bytes(limit)} memory: take features='random'"
                )


def _memory(device: torch.device) -> float | None:
    return torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else memory_limit()


def _numbers_of_a_pair(model: Any) -> int:
    """Numbers that a model keeps for each pair of nodes; 0 for one that has no such numbers."""
    if not getattr(model, "attends_to_all_pairs", False):
        return 0
    layers = getattr(model, "layers", ())
    depth = len(layers) if hasattr(layers, "__len__") else 1
    if model.attention_layout in _OF_PAIRS:
        return _COPIES * depth * int(model.width)
    of_pairs = [bias for bias in getattr(model, "pair_encodings", ()) if not getattr(bias, "factored", False)]
    biased = isinstance(model, GraphTransformer | Graphormer) or len(of_pairs) > 0
    return _COPIES * depth * int(model.heads) if biased else 0
