"""Structural encodings as PyTorch Geometric transforms, thin over the functions of `graphpe`."""

from graphpe.lazy import make_lazy

__all__ = make_lazy(__name__)  # what `__init__.pyi` lists
