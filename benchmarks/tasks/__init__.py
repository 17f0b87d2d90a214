"""Tasks: data with a split, a loss and a metric."""

from graphpe.benchmarks.tasks.circuits import Circuits
from graphpe.benchmarks.tasks.code2 import Code2
from graphpe.benchmarks.tasks.ogb_molecules import (
    Molbace,
    Molbbbp,
    Molclintox,
    Molesol,
    Molfreesolv,
    Molhiv,
    Mollipo,
    Molmuv,
    Molpcba,
    Molsider,
    Moltox21,
    Moltoxcast,
)
from graphpe.benchmarks.tasks.playground import Playground
from graphpe.benchmarks.tasks.python_source import PythonSource
from graphpe.benchmarks.tasks.sorting_networks import SortingNetworks
from graphpe.benchmarks.tasks.zinc import Zinc

__all__ = [
    "Circuits",
    "Code2",
    "Molbace",
    "Molbbbp",
    "Molclintox",
    "Molesol",
    "Molfreesolv",
    "Molhiv",
    "Mollipo",
    "Molmuv",
    "Molpcba",
    "Molsider",
    "Moltox21",
    "Moltoxcast",
    "Playground",
    "PythonSource",
    "SortingNetworks",
    "Zinc",
]
