"""Tasks: data with a split, a loss and a metric."""

from graphpe.benchmarks.tasks.clrs.task import Clrs
from graphpe.benchmarks.tasks.code.code2 import Code2
from graphpe.benchmarks.tasks.code.python_source import PythonSource
from graphpe.benchmarks.tasks.generated.counting import SubstructureCount
from graphpe.benchmarks.tasks.generated.csl import CSL
from graphpe.benchmarks.tasks.generated.graphbench import GraphBench, GraphBenchFlow
from graphpe.benchmarks.tasks.generated.playground import Playground
from graphpe.benchmarks.tasks.generated.problems import Bridges, MaxFlow, PathLength
from graphpe.benchmarks.tasks.generated.properties import ConnectedComponents, Eccentricity, EffectiveResistance
from graphpe.benchmarks.tasks.generated.sorting_networks import SortingNetworks
from graphpe.benchmarks.tasks.links.ogb import OgblCitation2, OgblCollab, OgblPpa, OgblVessel
from graphpe.benchmarks.tasks.links.own import LinkFile
from graphpe.benchmarks.tasks.links.planetoid import PlanetoidLinks
from graphpe.benchmarks.tasks.long_range.ring_transfer import RingTransfer
from graphpe.benchmarks.tasks.long_range.tree_neighbours_match import TreeNeighboursMatch
from graphpe.benchmarks.tasks.molecules.aqsol import AQSOL
from graphpe.benchmarks.tasks.molecules.ogb import (
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
from graphpe.benchmarks.tasks.molecules.pcqm4mv2 import PCQM4Mv2
from graphpe.benchmarks.tasks.molecules.pcqm_contact import PCQMContact
from graphpe.benchmarks.tasks.molecules.peptides import PeptidesFunc, PeptidesStruct
from graphpe.benchmarks.tasks.molecules.zinc import Zinc
from graphpe.benchmarks.tasks.nodes.heterophilous import Heterophilous
from graphpe.benchmarks.tasks.nodes.ogb import OgbnArxiv, OgbnMag, OgbnProducts, OgbnProteins
from graphpe.benchmarks.tasks.nodes.planetoid import Planetoid
from graphpe.benchmarks.tasks.pyg.circuits import Circuits
from graphpe.benchmarks.tasks.pyg.gnn_benchmark import Cifar10, Cluster, Mnist, Pattern
from graphpe.benchmarks.tasks.pyg.lrgb_superpixels import COCOSP, PascalVOCSP
from graphpe.benchmarks.tasks.pyg.malnet_tiny import MalNetTiny
from graphpe.benchmarks.tasks.pyg.ppa import Ppa
from graphpe.benchmarks.tasks.pyg.qm9 import QM9
from graphpe.benchmarks.tasks.pyg.tu import TU
from graphpe.benchmarks.tasks.user.data_file import DataFile
from graphpe.benchmarks.tasks.user.edge_list_folder import EdgeListFolder
from graphpe.benchmarks.tasks.user.networkx_list import NetworkxList
from graphpe.benchmarks.tasks.user.smiles_table import SmilesTable

__all__ = [
    "AQSOL",
    "COCOSP",
    "CSL",
    "QM9",
    "TU",
    "Bridges",
    "Cifar10",
    "Circuits",
    "Clrs",
    "Cluster",
    "Code2",
    "ConnectedComponents",
    "DataFile",
    "Eccentricity",
    "EdgeListFolder",
    "EffectiveResistance",
    "GraphBench",
    "GraphBenchFlow",
    "Heterophilous",
    "LinkFile",
    "MalNetTiny",
    "MaxFlow",
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
    "OgblCitation2",
    "OgblCollab",
    "OgblPpa",
    "OgblVessel",
    "OgbnArxiv",
    "OgbnMag",
    "OgbnProducts",
    "OgbnProteins",
    "PCQM4Mv2",
    "PCQMContact",
    "PascalVOCSP",
    "PathLength",
    "Pattern",
    "PeptidesFunc",
    "PeptidesStruct",
    "Planetoid",
    "PlanetoidLinks",
    "Playground",
    "Ppa",
    "PythonSource",
    "RingTransfer",
    "SmilesTable",
    "SortingNetworks",
    "SubstructureCount",
    "TreeNeighboursMatch",
    "Zinc",
]
