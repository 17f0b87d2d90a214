"""The encodings that folders of `graphpe encode` hold beside their graphs."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import graphpe.transforms as transforms
from graphpe.benchmarks.calls.own import known_classes
from graphpe.benchmarks.calls.text import build
from graphpe.errors import GraphPEError
from graphpe.graphs.concatenate import concatenate
from graphpe.graphs.packed import PackedGraphs
from graphpe.storage.encoded import EncodedDataset
from graphpe.storage.store import read_manifest
from graphpe.transforms.base import Encoding

_OWN = {"x", "edge_attr", "edge_weight", "y"}


def held_encodings(folders: Sequence[Path]) -> tuple[str, ...]:
    """The encodings that all of some paths hold, as calls; none where they differ, or one is no folder of encodings.

    Raises:
        GraphPERuntimeError: A folder's manifest is damaged.
    """
    manifests = [read_manifest(folder) for folder in folders]
    calls = {() if manifest is None else _calls(manifest.transform) for manifest in manifests}
    return calls.pop() if len(calls) == 1 else ()


def held_values(folders: Sequence[Path], encodings: Sequence[str]) -> PackedGraphs:
    """The graphs of folders, one after the other, with the values of encodings and no others."""
    keys = held_keys(encodings)
    packed = concatenate([EncodedDataset(folder).packed for folder in folders])
    levels = {
        level: {key: value for key, value in getattr(packed, level).items() if key in keys}
        for level in ("node", "edge", "graph", "pair")
    }
    return packed.structure().with_values(**levels)


def held_keys(encodings: Sequence[str]) -> set[str]:
    """The names of the values of encodings."""
    built = [_encoding(text) for text in encodings]
    return {key for each in built for key in (*each.keys, *each.graph_keys, *each.pair_keys)}


def _calls(text: str) -> tuple[str, ...]:
    """The encodings of a `Compose`, or the one there is; none where it is no encoding, or one in a feature's place."""
    try:
        call = ast.parse(text, mode="eval").body
        several = isinstance(call, ast.Call) and ast.unparse(call.func) == "Compose" and call.args
        listed = call.args[0].elts if several and isinstance(call.args[0], ast.List) else [call]  # type: ignore
        found = tuple(repr(_encoding(ast.unparse(each))) for each in listed)
        taken = held_keys(found)
    except (SyntaxError, GraphPEError):  # a transform of somebody else's
        return ()
    return () if taken & _OWN else found


def _encoding(text: str) -> Encoding:
    # Not through `calls.kinds`, which asks what a task is, and so imports this file.
    package: ModuleType = transforms
    members = {name: getattr(package, name) for name in package.__all__}
    known = {name: each for name, each in members.items() if isinstance(each, type) and issubclass(each, Encoding)}
    return build(text, known_classes("encoding", known), "encoding")
