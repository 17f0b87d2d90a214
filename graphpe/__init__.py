"""Graph transformers with structural encodings, for PyTorch Geometric.

The numerics and data structures live here; the rest stands in rooms beside them:

    from graphpe import transforms as T    # encodings as PyG transforms
    from graphpe import models as M        # architectures that use them
"""

from importlib.metadata import version as _version

from graphpe.drawing.plotting import plot_encoding
from graphpe.eigen.eigsh import eigsh
from graphpe.eigen.result import EigenResult
from graphpe.errors import (
    EigenError,
    EigenWarning,
    GraphPEError,
    GraphPERuntimeError,
    GraphPETypeError,
    GraphPEValueError,
)
from graphpe.graphs.loader import PackedLoader
from graphpe.graphs.packed import PackedGraphs
from graphpe.storage.encoded import EncodedDataset
from graphpe.storage.precompute import precompute
from graphpe.structure.laplacian import laplacian, magnetic_laplacian
from graphpe.trees.integrator import TreeIntegrator

__version__ = _version("graphpe")

__all__ = [
    "EigenError",
    "EigenResult",
    "EigenWarning",
    "EncodedDataset",
    "GraphPEError",
    "GraphPERuntimeError",
    "GraphPETypeError",
    "GraphPEValueError",
    "PackedGraphs",
    "PackedLoader",
    "TreeIntegrator",
    "eigsh",
    "laplacian",
    "magnetic_laplacian",
    "plot_encoding",
    "precompute",
]
