"""Tasks: data with a split, a loss and a metric."""

from graphpe.benchmarks.tasks.circuits import Circuits
from graphpe.benchmarks.tasks.clrs import Clrs
from graphpe.benchmarks.tasks.code2 import Code2
from graphpe.benchmarks.tasks.data_file import DataFile
from graphpe.benchmarks.tasks.edge_list_folder import EdgeListFolder
from graphpe.benchmarks.tasks.gnn_benchmark import Cifar10, Cluster, Mnist, Pattern
from graphpe.benchmarks.tasks.networkx_list import NetworkxList
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
from graphpe.benchmarks.tasks.peptides import PeptidesFunc, PeptidesStruct
from graphpe.benchmarks.tasks.playground import Playground
from graphpe.benchmarks.tasks.ppa import Ppa
from graphpe.benchmarks.tasks.python_source import PythonSource
from graphpe.benchmarks.tasks.smiles_table import SmilesTable
from graphpe.benchmarks.tasks.sorting_networks import SortingNetworks
from graphpe.benchmarks.tasks.zinc import Zinc

__all__ = [
    "Cifar10",
    "Circuits",
    "Clrs",
    "Cluster",
    "Code2",
    "DataFile",
    "EdgeListFolder",
    "Mnist",
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
    "NetworkxList",
    "Pattern",
    "PeptidesFunc",
    "PeptidesStruct",
    "Playground",
    "Ppa",
    "PythonSource",
    "SmilesTable",
    "SortingNetworks",
    "Zinc",
]
