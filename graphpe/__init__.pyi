from graphpe.benchmarks.runs.run import Run as Run
from graphpe.benchmarks.runs.run import load_run as load_run
from graphpe.benchmarks.warmup import warmup as warmup
from graphpe.drawing.plotting import plot_encoding as plot_encoding
from graphpe.eigen.certify import Certificate as Certificate
from graphpe.eigen.certify import certify as certify
from graphpe.eigen.eigsh import eigsh as eigsh
from graphpe.eigen.result import EigenResult as EigenResult
from graphpe.errors import EigenError as EigenError
from graphpe.errors import EigenWarning as EigenWarning
from graphpe.errors import GraphPEError as GraphPEError
from graphpe.errors import GraphPERuntimeError as GraphPERuntimeError
from graphpe.errors import GraphPETypeError as GraphPETypeError
from graphpe.errors import GraphPEValueError as GraphPEValueError
from graphpe.graphs.loader import PackedLoader as PackedLoader
from graphpe.graphs.packed import PackedGraphs as PackedGraphs
from graphpe.limits import limits as limits
from graphpe.storage.encoded import EncodedDataset as EncodedDataset
from graphpe.storage.precompute import precompute as precompute
from graphpe.structure.laplacian import laplacian as laplacian
from graphpe.structure.laplacian import magnetic_laplacian as magnetic_laplacian
from graphpe.trees.integrator import TreeIntegrator as TreeIntegrator

__version__: str
