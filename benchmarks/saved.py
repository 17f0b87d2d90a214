"""Graphs in a file that `torch.save` wrote; nothing in it is executed."""

from __future__ import annotations

import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import Data

from graphpe.errors import GraphPERuntimeError
from graphpe.ogb_compat import saved_types
from graphpe.packed import PackedGraphs


def load_graphs(path: Path) -> PackedGraphs:
    """The graphs of a file that holds a list of PyG `Data`, or one.

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
    raise GraphPERuntimeError(f"{path} holds {type(content).__name__}: expected a list of PyG Data")
