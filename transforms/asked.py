"""Encodings of chosen pairs: which pairs a graph asks for, and the part of their values that each graph gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric import EdgeIndex

from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.pairs.asked import Asked, asked_pairs, check_pairs
from graphpe.structure.plan import Plan
from graphpe.transforms.reading import Reader
from graphpe.transforms.values import AskedValues


def check_pairs_key(pairs: Any) -> str | None:
    """The key of chosen pairs, one that PyG counts over a batch; or None for all pairs.

    Args:
        pairs: The argument.

    Raises:
        GraphPETypeError: It is no string.
        GraphPEValueError: PyG would not add the nodes of earlier graphs to it.
    """
    if pairs is None:
        return None
    if not isinstance(pairs, str):
        raise GraphPETypeError(f"pairs must be the key of node ids [2, num_pairs] or None, got {pairs!r}")
    if not pairs.isidentifier() or "index" not in pairs:
        raise GraphPEValueError(
            f"pairs={pairs!r} is no key whose node ids PyG counts over a batch: it has to contain 'index', as "
            "'edge_label_index' does"
        )
    return pairs


def asked_of(plan: Plan, key: str) -> Asked:
    """The chosen pairs of a key (a part of a plan).

    Args:
        plan: The graphs, and the work that several encodings share.
        key: The key.
    """
    return asked_pairs(plan.asked[key], plan.graphs, key)


def read_asked(content: Mapping[str, Any], graphs: PackedGraphs, readers: Sequence[Reader]) -> dict[str, Tensor]:
    """The chosen pairs that the readers read, `[2, P]` by key, ids counted over all graphs.

    Args:
        content: Where they are: a tensor, or one for each graph with ids that are counted in it.
        graphs: The graphs.
        readers: What reads them: encodings, by their `pairs`.

    Raises:
        GraphPETypeError: Those of a graph are no tensor of integers.
        GraphPEValueError: There are none, or they are not two rows of nodes of their graph.
    """
    out: dict[str, Tensor] = {}
    for reader in readers:
        key = reader.pairs
        if key is None or key in out:
            continue
        found = content.get(key)
        if found is None:
            raise GraphPEValueError(
                f"{reader} reads the pairs {key!r}, which the graph does not have: set {key} to node ids [2, num_pairs]"
            )
        if isinstance(found, list):
            ptr = graphs.host_ptr
            for graph, each in enumerate(found):
                check_pairs(each, int(ptr[graph + 1] - ptr[graph]), f"{key} of graph {graph}")
            found = torch.cat([plain(each) + int(first) for each, first in zip(found, ptr[:-1], strict=True)], dim=1)
        out[key] = plain(found)
    return out


def plain(pairs: Any) -> Any:
    """Pairs as the tensor that PyG's `EdgeIndex` is made of; anything else as it is.

    Args:
        pairs: The pairs.
    """
    return pairs.as_tensor().long() if isinstance(pairs, EdgeIndex) else pairs


def asked_parts(asked: AskedValues, graphs: PackedGraphs) -> tuple[Tensor, ...]:
    """The values of each graph; its chosen pairs stand together, in the order of the graphs.

    Args:
        asked: The values.
        graphs: The graphs.
    """
    owner = np.searchsorted(graphs.host_ptr, asked.source.numpy(force=True), side="right") - 1
    return asked.values.split(np.bincount(owner, minlength=graphs.num_graphs).tolist())
