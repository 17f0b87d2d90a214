"""Models over PyG batches: encoders of inputs and encodings, attention, architectures and heads.

An architecture is a public class whose constructor takes a `node_encoder`; its other keyword arguments, apart from
`edge_encoder`, `encodings` and `head`, are literals.
"""

from graphpe.lazy import make_lazy

__all__ = make_lazy(__name__)  # what `__init__.pyi` lists
