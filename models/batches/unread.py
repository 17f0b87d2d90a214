"""Encodings that a batch has and a model does not read, told once."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.models.batches.reading import ENCODING_KEYS

_KNOWN = ("graphpe", "torch", "torch_geometric")


class ReadsNodes(Protocol):
    """A model as far as what it reads goes.

    Attributes:
        node_encoder: From a batch to node embeddings `[N, D]`.
        encodings: Modules from a batch to `[N, D]`, added to them.
    """

    node_encoder: nn.Module
    encodings: nn.ModuleList

    def modules(self) -> Iterator[nn.Module]:
        """It and all its parts."""
        ...


def warn_unread(model: ReadsNodes, batch: Data) -> None:
    """Warn, at a model's first batch, where it was built without encodings and the batch has some.

    An encoding that no module was given for is absent from the model, which nothing else would show. Only keys that
    transforms write by default are known, and only where the model reads none: to read one of several is a choice. (An
    architecture that takes encodings of pairs and has only some of nodes is told of the batch's encodings of pairs.)

    Args:
        model: The architecture, with `pair_encodings` too if it takes them.
        batch: The batch.
    """
    if getattr(model, "told_unread", False) or torch.compiler.is_compiling():
        return
    model.told_unread = True  # type: ignore[attr-defined]
    of_pairs = "PairBias" if getattr(model, "pair_input", None) == "biases" else "PairLinear or PairEmbedding"
    _, *parts = model.modules()
    if any(type(part).__module__.partition(".")[0] not in _KNOWN for part in parts):
        return  # a module of the user's own may read anything
    read = {text for part in parts for text in vars(part).values() if isinstance(text, str)}
    found = {key: value for key in ENCODING_KEYS if isinstance(value := getattr(batch, key, None), Tensor)}
    for option, modules in (
        ("encodings", "LinearEncoding, EigenvectorEncoding or another module of graphpe.models"),
        ("pair_encodings", f"{of_pairs} of graphpe.models"),
    ):
        if option == "encodings" and len(getattr(model, "pair_encodings", ())):
            continue
        given = getattr(model, option, None)
        unread = [
            key
            for key, value in found.items()
            if key not in read and (value.shape[0] == batch.num_nodes) == (option == "encodings")
        ]
        if given is not None and not len(given) and unread:
            warnings.warn(
                f"{type(model).__name__} was built without {option} and does not read the batch's "
                f"{', '.join(unread)}: give {option}=[...] with {modules}, or leave the encoding out of the batch",
                stacklevel=4,  # the line that called the model under `in_half_precision`
            )
