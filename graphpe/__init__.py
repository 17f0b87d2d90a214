"""Graph transformers with structural encodings, for PyTorch Geometric.

The numerics and data structures live here; the rest stands in rooms beside them:

    from graphpe import transforms as T    # encodings as PyG transforms
    from graphpe import models as M        # architectures that use them
"""

from importlib.metadata import version as _version

from graphpe.eigen.eigsh import eigsh
from graphpe.eigen.result import EigenResult
from graphpe.encoded import EncodedDataset
from graphpe.errors import (
    EigenError,
    EigenWarning,
    GraphPEError,
    GraphPERuntimeError,
    GraphPETypeError,
    GraphPEValueError,
)
from graphpe.laplacian import laplacian, magnetic_laplacian
from graphpe.loader import PackedLoader
from graphpe.packed import PackedGraphs
from graphpe.plotting import plot_encoding
from graphpe.precompute import precompute
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
