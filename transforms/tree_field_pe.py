"""Sums over the distances in a tree of each graph as a transform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from graphpe.arguments import check_flags, check_integer, check_seed
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.structure.plan import Need, Plan
from graphpe.transforms.base import Encoding
from graphpe.transforms.features import check_features, read_features
from graphpe.transforms.names import MAX_COLUMNS, check_attr_name, check_count, stem_of
from graphpe.transforms.values import Values
from graphpe.trees.fields import (
    Field,
    TreeKind,
    check_fields,
    check_tree,
    tree_fields,
    tree_shape,
    trees_of,
)
from graphpe.trees.functions.closed_form import TreeFunction
from graphpe.trees.functions.text import parse_function
from graphpe.trees.spectrum import tree_spectra


class TreeFieldPE(Encoding):
    """How a function of distance, summed over all other nodes, looks from each node: on a tree that stands for it.

    Column (f, x) of node i is sum_j f(d(i, j)) x_j over the nodes j of its connected component, i itself included, with
    d the distance along a tree: exact for every f that says so (`graphpe.trees`), without the n x n matrix. For f(d) =
    exp(-rate d) and x = 1 that is the decay centrality of i, plus 1. With `shape`, two columns more: i's eccentricity
    in the tree, and its distance to the tree's centroid.

    A graph that is a tree is its own; others are replaced, edges symmetrised by max(A, A^T), parallel ones counted once
    without `edge_weight` and added with it, weight 0 being no edge:

    | `tree` | | |
    |---|---|---|
    | `"minimum"` | least total length | ties by colour refinement, then by numbers of nodes |
    | `"shortest"` | distances from the node of largest degree kept | ties likewise |
    | `"random"` | mean over `num_trees` uniformly random spanning trees | equivariant in distribution |
    | `"hierarchical"` | mean over `num_trees` random trees of low distortion | equivariant in distribution |

    Where symmetries of a graph leave no tree that all of them keep, as on cycles and complete graphs without weights,
    the numbers of nodes decide between several, and `"minimum"` and `"shortest"` are not equivariant: another numbering
    gives the values of another tree of the same kind. The mean over many random trees, `tree="random", num_trees=100`,
    has no such choice but in its expectation, to about num_trees^-1/2. Random fields are those of the numbers of nodes.

    Node values, as `x`, are fields as they are, integers as numbers: turn categories into one-hot vectors first. So are
    those that an encoding before it in a `Compose` writes.

    Writes `tree_field_pe`: `[N, C]` float32, C = functions times fields, functions
    outermost, and 2 with `shape`; fields are `fields`, the columns of `features`, random ones. O(N) a column for
    exponentials, polynomials and cosines, after O(E log E) for the tree, on the CPU. A `Compose` shares the trees.

    With `eigenvalues` k also `tree_field_eigenvalues` (`{attr_name}_eigenvalues` beside another name), `[1, F k]` a
    graph: of the matrix f(d(i, j)) of each of F functions the k largest, descending, 0 where there are fewer; along one
    tree where trees are drawn. Dense in O(n^3) up to 1000 nodes, by products in O(n) above.

    Args:
        functions: Functions as text, `"Exponential(0.5) * Cosine(1.0)"`, or as objects of `graphpe.trees`.
        fields: `"ones"` and `"degree"`, or one of them, or none.
        features: Keys of node values `[N]` or `[N, D]`, and how many columns each has: `{"x": 9}`.
        random_fields: Number of fields of standard normal numbers.
        tree: Which tree.
        weighted: Take `edge_weight` as lengths; otherwise all edges have length 1.
        shape: Append eccentricity and distance to the centroid.
        eigenvalues: k, or 0 for none.
        num_trees: Trees that are drawn, of the kinds that are.
        seed: Of random trees and fields.
        attr_name: Key of the encoding; None appends it to `x`, and `"x"` replaces it.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no PyG graph, or a
            node value holds no real numbers.
        GraphPEValueError: A parameter is out of range; when called, there is no `edge_index`, a node value is missing,
            has another number of columns or is not finite, `edge_weight` is negative or not finite (as lengths, in
            float32), a function overflows, or a distance is no multiple of a `Table`'s unit.

    References:
        Choromanski, Sehanobish, Basu Roy Chowdhury, Lin, Dubey, Sarlos, Chaturvedi: Fast Tree-Field Integrators.
        NeurIPS 2024.

    Example:
        >>> path = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=4)
        >>> T.TreeFieldPE(["Polynomial([0, 1])", "Table([0, 1])"], shape=True)(path).tree_field_pe
        tensor([[3., 1., 2., 1.],
                [2., 2., 1., 0.],
                [3., 1., 2., 1.],
                [0., 0., 0., 0.]])
    """

    def __init__(
        self,
        functions: Sequence[str | TreeFunction] = ("Exponential(0.25)", "Exponential(1.0)"),
        *,
        fields: Sequence[Field] = ("ones",),
        features: Mapping[str, int] | None = None,
        random_fields: int = 0,
        tree: TreeKind = "minimum",
        weighted: bool = False,
        shape: bool = False,
        eigenvalues: int = 0,
        num_trees: int = 1,
        seed: int = 0,
        attr_name: str | None = "tree_field_pe",
    ) -> None:
        for name, value in (("functions", functions), ("fields", fields)):
            if isinstance(value, str) or not isinstance(value, Sequence):
                raise GraphPETypeError(f"{name} must be a list, got {value!r}")
        self.functions = tuple(repr(f) if isinstance(f, TreeFunction) else f for f in functions)
        self._parsed = [parse_function(text) for text in self.functions]
        self.fields: tuple[Field, ...] = tuple(fields)
        check_fields(self.fields)
        self.features = check_features(features, MAX_COLUMNS)
        self.random_fields = check_integer("random_fields", random_fields)
        if self.random_fields < 0:
            raise GraphPEValueError(f"random_fields must not be negative, got {self.random_fields}")
        check_tree(tree)
        self.tree: TreeKind = tree
        self.weighted = check_flags(weighted=weighted)[0]
        self.shape = check_flags(shape=shape)[0]
        self.eigenvalues = check_integer("eigenvalues", eigenvalues, least=0, most=MAX_COLUMNS)
        self.num_trees = check_count("num_trees", num_trees)
        self.seed = check_seed(seed)
        self.attr_name = check_attr_name(attr_name)
        check_count("the number of columns", self.columns)

    @property
    def graph_keys(self) -> list[str]:
        """The key of the eigenvalues."""
        stem = "tree_field" if self.attr_name == "tree_field_pe" else stem_of(self.attr_name, "tree_field")
        return [f"{stem}_eigenvalues"] if self.eigenvalues else []

    @property
    def node_keys(self) -> list[str]:
        return list(self.features or ())

    @property
    def columns(self) -> int:
        """Functions times fields, and the two of the shape."""
        fields = len(self.fields) + sum((self.features or {}).values()) + self.random_fields
        return len(self.functions) * fields + 2 * self.shape

    @property
    def needs(self) -> list[Need]:
        return [Need(trees_of, 0, (self.tree, self.weighted, self.num_trees, self.seed))]

    def encode(self, plan: Plan) -> Values:
        columns = []
        if self.columns > 2 * self.shape:
            columns.append(
                tree_fields(
                    plan,
                    self._parsed,
                    self.fields,
                    features=read_features(plan, self.features),
                    random_fields=self.random_fields,
                    tree=self.tree,
                    weighted=self.weighted,
                    num_trees=self.num_trees,
                    seed=self.seed,
                )
            )
        if self.shape:
            columns.append(
                tree_shape(plan, tree=self.tree, weighted=self.weighted, num_trees=self.num_trees, seed=self.seed)
            )
        return Values(
            node={self.attr_name: torch.cat(columns, dim=1)},
            graph={key: self._spectra(plan) for key in self.graph_keys},
        )

    def _spectra(self, plan: Plan) -> Tensor:
        spectra = [
            tree_spectra(plan, f, self.eigenvalues, tree=self.tree, weighted=self.weighted, seed=self.seed)
            for f in self._parsed
        ]
        return torch.cat([torch.zeros(plan.graphs.num_graphs, 0, device=plan.graphs.device), *spectra], dim=1)
