"""A digest of a task's data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from graphpe.graphs.packed import PackedGraphs
from graphpe.storage.store import Store

_BLOCK = 2**28
"""Bytes hashed at once."""


def fingerprint(
    graphs: PackedGraphs, split: Mapping[str, Tensor], lines: Sequence[str] = (), *, store: Store | None = None
) -> str:
    """A digest of all that training and evaluation read: edges and weights, values, split and `lines` of text.

    Args:
        graphs: The graphs.
        split: Ids by part.
        lines: Text.
        store: The store that the graphs are in; what was read of it is given back at once.
    """
    digest = hashlib.blake2b(digest_size=16)
    tensors = {"edge_index": graphs.edge_index, "ptr": graphs.ptr, "edge_ptr": graphs.edge_ptr}
    tensors |= graphs.node | graphs.edge | graphs.graph | dict(split)
    if graphs.edge_weight is not None:
        tensors["edge_weight"] = graphs.edge_weight
    for key, value in sorted(tensors.items()):
        digest.update(f"{key} {value.dtype} {list(value.shape)}".encode())
        content = np.ascontiguousarray(value.numpy()).reshape(-1).view(np.uint8)
        for start in range(0, len(content), _BLOCK):
            digest.update(content[start : start + _BLOCK].data)
            if store is not None:
                store.release()
    digest.update("\n".join(lines).encode(errors="surrogatepass"))
    return digest.hexdigest()
