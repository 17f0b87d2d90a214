"""Graphs in a file that `torch.save` wrote; nothing in it is executed."""

from __future__ import annotations

import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import Data, InMemoryDataset

from graphpe.errors import GraphPERuntimeError
from graphpe.graphs.packed import PackedGraphs
from graphpe.ogb import saved_types


def load_graphs(path: Path) -> PackedGraphs:
    """The graphs of a file that holds a list of PyG `Data`, or one, or what an `InMemoryDataset` saved.

    Raises:
        GraphPERuntimeError: The file is missing, cannot be read safely (`weights_only=True`), or holds something else.
    """
    try:
        with torch.serialization.safe_globals(saved_types()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of old files before it fails to read them
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise GraphPERuntimeError(f"{path} cannot be read: {error.strerror or error}") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        forbidden = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = f"it holds {forbidden[1]}" if forbidden else type(error).__name__
        raise GraphPERuntimeError(
            f"{path} cannot be read with weights_only=True ({reason}): expected a list of PyG Data, saved by torch.save"
        ) from None
    if isinstance(content, Data):
        content = [content]
    if isinstance(content, list | tuple) and all(isinstance(graph, Data) for graph in content):
        return PackedGraphs.from_data_list(content)
    if (stored := _stored_data(content)) is not None:
        data, slices = stored
        if slices is None:  # one graph
            return PackedGraphs.from_data_list([data])
        dataset = InMemoryDataset()
        dataset._data, dataset.slices = data, slices
        return PackedGraphs.from_dataset(dataset)
    raise GraphPERuntimeError(f"{path} holds {type(content).__name__}: expected a list of PyG Data")


def _stored_data(content: Any) -> tuple[Data, Any] | None:
    """Data and slices of `(data, slices)` or `(dictionary of data, slices, class)`, as versions of PyG save them."""
    if not (isinstance(content, tuple) and len(content) in (2, 3) and isinstance(content[1], dict | None)):
        return None
    data = Data.from_dict(content[0]) if isinstance(content[0], dict) else content[0]
    return (data, content[1]) if isinstance(data, Data) else None
