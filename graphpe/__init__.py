"""Graph transformers with structural encodings, for PyTorch Geometric.

The numerics and data structures live here; the rest stands in rooms beside them:

    from graphpe import transforms as T    # encodings as PyG transforms
    from graphpe import models as M        # architectures that use them
"""

from importlib.metadata import version as _version

from graphpe.lazy import make_lazy

__version__ = _version("graphpe")
__all__ = make_lazy(__name__)  # what `__init__.pyi` lists
