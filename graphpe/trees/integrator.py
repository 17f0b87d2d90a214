"""TreeIntegrator: sums of functions of the distances in a forest, without its distance matrix."""

from __future__ import annotations

from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.trees.decomposition import Level, decompose
from graphpe.trees.forest import Forest, diameter, read_forest
from graphpe.trees.functions.closed_form import Expansion, Parameter, TreeFunction, as_function
from graphpe.trees.hankel import Tables, segments_by_depth, sum_table
from graphpe.trees.levels import sum_terms_by_levels
from graphpe.trees.sweeps import sum_terms

_LONGEST = torch.finfo(torch.float32).max  # the inverse is a rate, in the dtype of parameters


class TreeIntegrator:
    """Y_i = sum_j f(d(i, j)) X_j over the nodes j of i's tree, d being the distance along its edges.

    The matrix f(d(i, j)) is never formed. Sums are exact for every function that says so (to rounding, in float64);
    f(0) counts once for each node itself and once for every other node at distance 0; nodes of different trees add
    nothing to each other.

    Building reads the forest, O(N), on the CPU. What else a function needs is made when it is first integrated and
    kept: for tables, and on devices other than the CPU, a centroid decomposition, O(N log N) time and memory. One
    integrator serves any number of functions and fields.

    Args:
        edge_index: `[2, E]` integers: the edges of a forest, each once or in both directions.
        edge_weight: `[E]` lengths, finite and not negative (0 is a length); None for 1.
        num_nodes: Number of nodes, N.

    Raises:
        GraphPETypeError: An argument is of another type.
        GraphPEValueError: A shape, node or length is not one that is accepted, or there is a loop, a repeated edge, an
            edge of two lengths or a cycle.

    References:
        Choromanski, Sehanobish, Basu Roy Chowdhury, Lin, Dubey, Sarlos, Chaturvedi: Fast Tree-Field Integrators: From
        Low Displacement Rank to Topological Transformers. NeurIPS 2024. (Their binary decomposition is an n-ary one
        here, and their code leaves out pairs at distance 0.)

    Example:
        >>> import graphpe, torch
        >>> path = graphpe.TreeIntegrator(torch.tensor([[0, 1], [1, 2]]), None, 4)
        >>> path.integrate(graphpe.trees.Polynomial([1.0, 1.0]), torch.tensor([1.0, 0.0, 0.0, 5.0]))  # 1 + d
        tensor([1., 2., 3., 5.])
    """

    def __init__(self, edge_index: Tensor, edge_weight: Tensor | None, num_nodes: int) -> None:
        self.forest: Forest = read_forest(edge_index, edge_weight, num_nodes)
        self._levels_on: dict[torch.device, list[Level]] = {}
        self._tables_on: dict[tuple[torch.device, float, int], Tables] = {}

    @classmethod
    def from_graphs(cls, graphs: PackedGraphs) -> Self:
        """The integrator of many trees or forests, whose nodes are counted over all graphs.

        `edge_weight` is taken as lengths. Raises as the constructor does.

        Args:
            graphs: The trees or forests.
        """
        return cls(graphs.edge_index, graphs.edge_weight, graphs.num_nodes)

    @property
    def num_nodes(self) -> int:
        """Nodes of all trees."""
        return self.forest.num_nodes

    @cached_property
    def diameter(self) -> float:
        """The largest distance between two nodes of one tree; 0 without nodes."""
        return diameter(self.forest)

    @cached_property
    def levels(self) -> list[Level]:
        """The centroid decomposition, on the CPU."""
        return decompose(self.forest)

    def integrate(self, f: TreeFunction | Parameter, field: Tensor) -> Tensor:
        """Y_i = sum_j f(d(i, j)) X_j.

        Differentiable in the field and in the parameters of f; on the CPU, and for tables, once.

        On the CPU, terms are summed by compiled loops in two passes over the trees, O(N R) for R coefficients, one
        thread; elsewhere over the centroid decomposition, O(N R log N). What f costs is said by its class.

        Args:
            f: A function of `graphpe.trees`, a sum or product of some, or a number.
            field: X `[N, ...]`, of a floating dtype; half precision is summed in float32 or better. Complex fields are
                summed by real and imaginary part.

        Returns:
            Y, of the shape, dtype and device of the field.

        Raises:
            GraphPETypeError: `f` is no function, or the field is no tensor of floating numbers.
            GraphPEValueError: The field is of another length; `f` has a table, and a distance is no multiple of its
                unit; `f` is not exact, and a distance is beyond single precision; or, on the CPU, sums overflow because
                `f` does.
        """
        f = as_function(f)
        if not isinstance(field, Tensor) or not (field.is_floating_point() or field.is_complex()):
            given = field.dtype if isinstance(field, Tensor) else type(field).__name__
            raise GraphPETypeError(f"field must be a tensor of floating or complex numbers, got {given}")
        if field.dim() == 0 or field.size(0) != self.num_nodes:
            raise GraphPEValueError(
                f"field must be [{self.num_nodes}, ...], one row for each node, got {list(field.shape)}"
            )
        if field.is_complex():
            return torch.view_as_complex(self.integrate(f, torch.view_as_real(field.resolve_conj())))
        if field.numel() == 0:
            return torch.zeros_like(field)
        if not f.exact and self.diameter > _LONGEST:
            raise GraphPEValueError(
                f"{f!r} is summed as exponentials, to distances of {_LONGEST:.2g}, and these reach "
                f"{self.diameter:.2g}: rescale the lengths"
            )
        x = field.reshape(self.num_nodes, -1).to(torch.promote_types(field.dtype, torch.float32))
        out = self._sum(f.expand(self.diameter), x)
        if x.device.type == "cpu" and not bool(torch.isfinite(out.detach()).all()):  # elsewhere it would wait
            self._check_overflow(f, x)
        return out.to(field.dtype).view(field.shape)

    def _check_overflow(self, f: TreeFunction, x: Tensor) -> None:
        """Raise where a sum that is not finite is so because of `f`, not of the field or of parameters."""
        given = all(bool(torch.isfinite(value.detach()).all()) for value in (x, *f.parameters()))
        value = float(f(torch.tensor([self.diameter], dtype=torch.float64)).detach()[0]) if given else 0.0
        if given and not abs(value) <= torch.finfo(x.dtype).max / max(self.num_nodes, 1):
            raise GraphPEValueError(
                f"{f!r} is {value:.3g} at the largest distance, {self.diameter:.3g}: sums of it are beyond {x.dtype}; "
                "rescale the lengths, or give another function"
            )

    def _sum(self, expansion: Expansion, x: Tensor) -> Tensor:
        parts = []
        if expansion.terms and x.device.type == "cpu":
            parts.append(sum_terms(self.forest, x, expansion.terms))
        elif expansion.terms:
            parts.append(sum_terms_by_levels(self._levels(x.device), x, expansion.terms))
        for table in expansion.tables:
            # Distances within a group add up to at most the diameter: longer tables need no more segments.
            limit = min(len(table.values), int(self.diameter / table.unit + 1.5))
            key = x.device, table.unit, limit
            if key not in self._tables_on:
                self._tables_on[key] = segments_by_depth(self._levels(x.device), table.unit, limit)
            parts.append(sum_table(self._tables_on[key], x, table.values))
        return torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]

    def _levels(self, device: torch.device) -> list[Level]:
        if device.type == "cpu":
            return self.levels
        if device not in self._levels_on:
            self._levels_on[device] = [level.to(device) for level in self.levels]
        return self._levels_on[device]
