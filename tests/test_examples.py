"""The examples in docstrings run and print what they say; encodings, architectures, encoders and solvers have one."""

from __future__ import annotations

import doctest
import inspect
import sys

import pytest
import torch
from torch_geometric.data import Batch, Data

import graphpe
from graphpe import models as M
from graphpe import transforms as T
from graphpe.eigen import solvers
from graphpe.graphs.packed import PackedGraphs

NAMES = {"graphpe": graphpe, "torch": torch, "Batch": Batch, "Data": Data, "PackedGraphs": PackedGraphs, "T": T, "M": M}
PUBLIC = {
    f"{room.__name__}.{name}": getattr(room, name)
    for room in (graphpe, T, M, solvers, graphpe.trees)
    for name in room.__all__
    if name != "Readout"  # a type
}
# Composition has its example in the documentation; inputs and heads come from tasks.
WITHOUT = {"T.Compose", "M.CategoricalEdges", "M.CategoricalNodes", "M.ASTNodeEncoder", "M.SubtokenHead"}
MUST = [name for name in PUBLIC if name.split(".")[1] in ("transforms", "models") or ".solvers." in name]


def examples(name: str) -> doctest.DocTest:
    thing = PUBLIC[name]
    finder = doctest.DocTestFinder(recurse=False)
    (found,) = finder.find(thing, name, module=sys.modules[thing.__module__], extraglobs=NAMES)
    return found


@pytest.mark.parametrize("name", [name for name in PUBLIC if inspect.getdoc(PUBLIC[name])])
def test_example(name):
    found = examples(name)
    if name in MUST and not isinstance(PUBLIC[name], tuple):
        assert found.examples or name.replace("graphpe.transforms", "T").replace("graphpe.models", "M") in WITHOUT
    with torch.random.fork_rng():
        assert doctest.DocTestRunner().run(found).failed == 0
