"""The example in each encoding's docstring runs and prints what it says."""

from __future__ import annotations

import doctest
import sys

import pytest
import torch
from torch_geometric.data import Data

from graphpe import transforms as T
from graphpe.graphs.packed import PackedGraphs

ENCODINGS = [name for name in T.__all__ if name != "Compose"]


@pytest.mark.parametrize("name", ENCODINGS)
def test_example(name):
    encoding = getattr(T, name)
    names = {"torch": torch, "Data": Data, "PackedGraphs": PackedGraphs, "T": T}
    finder = doctest.DocTestFinder(recurse=False)
    (found,) = finder.find(encoding, name, module=sys.modules[encoding.__module__], extraglobs=names)
    assert found.examples, f"{name} has no example"
    outcome = doctest.DocTestRunner().run(found)
    assert outcome.failed == 0
