"""A digest of a task's data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from graphpe.graphs.packed import PackedGraphs


def fingerprint(graphs: PackedGraphs, split: Mapping[str, Tensor], lines: Sequence[str] = ()) -> str:
    """A digest of all that training and evaluation read: edges and weights, values, split and `lines` of text."""
    digest = hashlib.blake2b(digest_size=16)
    tensors = {"edge_index": graphs.edge_index, "ptr": graphs.ptr, "edge_ptr": graphs.edge_ptr}
    tensors |= graphs.node | graphs.edge | graphs.graph | dict(split)
    if graphs.edge_weight is not None:
        tensors["edge_weight"] = graphs.edge_weight
    for key, value in sorted(tensors.items()):
        digest.update(f"{key} {value.dtype} {list(value.shape)}".encode())
        digest.update(np.ascontiguousarray(value.numpy()).data)
    digest.update("\n".join(lines).encode(errors="surrogatepass"))
    return digest.hexdigest()
