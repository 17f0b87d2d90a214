"""Sums of functions of the distances in trees, and trees that stand for graphs.

tree = graphpe.TreeIntegrator(edge_index, edge_weight, num_nodes)
tree.integrate(Exponential(0.5) * Polynomial([1.0, 2.0]), field)
"""

from graphpe.trees.functions.closed_form import (
    Cosine,
    Exponential,
    Learnable,
    Polynomial,
    Product,
    Sum,
    Table,
    TreeFunction,
)
from graphpe.trees.functions.smooth import Gaussian, InversePower, Rational
from graphpe.trees.functions.text import parse_function
from graphpe.trees.integrator import TreeIntegrator

__all__ = [
    "Cosine",
    "Exponential",
    "Gaussian",
    "InversePower",
    "Learnable",
    "Polynomial",
    "Product",
    "Rational",
    "Sum",
    "Table",
    "TreeFunction",
    "TreeIntegrator",
    "parse_function",
]
