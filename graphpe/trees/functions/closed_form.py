"""Functions of the distance in a tree, as small objects that can be added and multiplied.

An object can be called with distances, and says how a `TreeIntegrator` sums it over pairs of nodes:

* **Terms** Re(p(d) exp(lambda d)) with a polynomial p: two passes over the tree for each, O(N R) time a column of the
  field for a term with R coefficients.
* **Tables** of values at the multiples of a unit: O(N log^2 N) a column.

Terms times terms are terms, and a table times anything is a table, so that all sums and products are covered.
Parameters are numbers or tensors; results are differentiable in those that are tensors which require grad.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from numbers import Real
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from graphpe.errors import GraphPETypeError, GraphPEValueError

Parameter = float | Tensor
Parameters = Sequence[float] | Tensor
Function = TypeVar("Function", bound="TreeFunction")

_EPS = float(np.finfo(np.float64).eps)
_ROUNDING = 1e-12  # what is changed by less by rounding counts as exact


class Term(NamedTuple):
    """Re(sum_k coefficients_k d^k exp(exponent d)).

    Attributes:
        exponent: Scalar, float64 or complex128.
        coefficients: `[K]` of the same dtype.
    """

    exponent: Tensor
    coefficients: Tensor

    def __call__(self, distance: Tensor) -> Tensor:
        powers = distance.double().unsqueeze(-1) ** torch.arange(len(self.coefficients), device=distance.device)
        exponent, coefficients = self.exponent.to(distance.device), self.coefficients.to(distance.device)
        value = (powers * coefficients).sum(-1) * torch.exp(exponent * distance.double())
        return value.real if value.is_complex() else value

    def __mul__(self, other: Term) -> list[Term]:  # type: ignore[override]
        """The product: one term, or two where both are complex: Re(a) Re(b) = Re(a b + a conj(b)) / 2."""
        if not (self.exponent.is_complex() and other.exponent.is_complex()):
            return [Term(self.exponent + other.exponent, _convolve(self.coefficients, other.coefficients))]
        turned = Term(other.exponent.conj(), other.coefficients.conj())
        return [
            Term(self.exponent + b.exponent, 0.5 * _convolve(self.coefficients, b.coefficients))
            for b in (other, turned)
        ]


class Expansion(NamedTuple):
    """A function as a sum of terms and tables."""

    terms: list[Term]
    tables: list[Table]


class TreeFunction(ABC):
    """A function f of the distance d >= 0 between two nodes of a tree.

    Add (`+`, `-`) and multiply (`*`) functions with each other and with numbers.
    """

    @abstractmethod
    def __call__(self, distance: Tensor) -> Tensor:
        """The values of f at distances of any shape, float64; differentiable.

        Args:
            distance: Distances of any shape, float64.
        """

    @abstractmethod
    def expand(self, longest: float) -> Expansion:
        """The sum of terms and tables that f is, on distances up to `longest`.

        Args:
            longest: The longest distance that occurs, at least 0.
        """

    @abstractmethod
    def children(self) -> list[tuple[str, Tensor | TreeFunction]]:
        """Parameters and functions that it is made of, by the attributes' names."""

    @property
    def exact(self) -> bool:
        """Whether sums are exact up to rounding; otherwise `error` says how far they are from it."""
        return all(child.exact for _, child in self.children() if isinstance(child, TreeFunction))

    def parameters(self) -> Iterator[Tensor]:
        """The parameters that require grad."""
        for _, child in self.children():
            if isinstance(child, TreeFunction):
                yield from child.parameters()
            elif child.requires_grad:
                yield child

    def error(self, longest: float, points: int = 4096) -> float:
        """The largest |f - expansion| on [0, longest], measured at as many points, half of them on a log scale.

        0 for exact functions, unless rounding of a distance (to 1e-16 of itself) changes them by more than 1e-12, as it
        does where they have turned many times. Results differ from those of f by at most sum_j |X_j| times as much.

        Args:
            longest: The longest distance that occurs, at least 0.
            points: Number of distances at which it is measured.
        """
        distance = distances_up_to(longest, points)
        with torch.no_grad():
            rounding = float(self.rounding(distance).max())
            rounding = rounding if rounding > _ROUNDING else 0.0
            if self.exact:
                return rounding
            terms, tables = self.expand(longest)
            value = torch.zeros_like(distance)
            for term in terms:
                value += term(distance)
            for table in tables:
                value += table(distance)
            return float((value - self(distance)).abs().max()) + rounding

    def rounding(self, distance: Tensor) -> Tensor:
        """How much rounding of the distances may change f: 0 but for what oscillates.

        Args:
            distance: Distances of any shape, float64.
        """
        return torch.zeros_like(distance, dtype=torch.float64)

    def __add__(self, other: TreeFunction | Parameter) -> TreeFunction:
        return Sum(self, as_function(other))

    def __radd__(self, other: Parameter) -> TreeFunction:
        return Sum(as_function(other), self)

    def __sub__(self, other: TreeFunction | Parameter) -> TreeFunction:
        return Sum(self, Product(Polynomial([-1.0]), as_function(other)))

    def __rsub__(self, other: Parameter) -> TreeFunction:
        return Sum(as_function(other), Product(Polynomial([-1.0]), self))

    def __mul__(self, other: TreeFunction | Parameter) -> TreeFunction:
        return Product(self, as_function(other))

    def __rmul__(self, other: Parameter) -> TreeFunction:
        return Product(as_function(other), self)

    def __neg__(self) -> TreeFunction:
        return Product(Polynomial([-1.0]), self)

    def __repr__(self) -> str:
        parts = (child.tolist() if isinstance(child, Tensor) else child for _, child in self.children())
        return f"{type(self).__name__}({', '.join(map(repr, parts))})"


class Exponential(TreeFunction):
    """exp(-rate d). Exact; the fastest: one term of one coefficient.

    Args:
        rate: Any sign; a negative one grows.
    """

    def __init__(self, rate: Parameter) -> None:
        self.rate = scalar("rate", rate)

    def __call__(self, distance: Tensor) -> Tensor:
        return torch.exp(-self.rate.to(distance.device).double() * distance.double())

    def expand(self, longest: float) -> Expansion:
        rate = self.rate.double()
        return Expansion([Term(-rate, torch.ones(1, dtype=torch.float64, device=rate.device))], [])

    def children(self) -> list[tuple[str, Tensor | TreeFunction]]:
        return [("rate", self.rate)]


class Polynomial(TreeFunction):
    """c_0 + c_1 d + c_2 d^2 + ... Exact; one term, O(K^2) work a node for K coefficients.

    Args:
        coefficients: `[K]`, the constant first.
    """

    def __init__(self, coefficients: Parameters) -> None:
        self.coefficients = vector("coefficients", coefficients)

    def __call__(self, distance: Tensor) -> Tensor:
        value = torch.zeros_like(distance, dtype=torch.float64)
        for coefficient in self.coefficients.to(distance.device).double().flip(0):
            value = value * distance.double() + coefficient
        return value

    def expand(self, longest: float) -> Expansion:
        coefficients = self.coefficients.double()
        return Expansion([Term(coefficients.new_zeros(()), coefficients)], [])

    def children(self) -> list[tuple[str, Tensor | TreeFunction]]:
        return [("coefficients", self.coefficients)]


class Cosine(TreeFunction):
    """cos(frequency d + phase). Exact; one complex term.

    On the CPU, phases are exact for the lengths of edges as they are given, however many turns a path has; where a
    distance is rounded first (on other devices, and when f is called), the error is 1e-16 frequency d, which `error`
    says.

    Args:
        frequency: In radians a unit of distance.
        phase: In radians; -pi / 2 gives the sine.
    """

    def __init__(self, frequency: Parameter, phase: Parameter = 0.0) -> None:
        self.frequency, self.phase = scalar("frequency", frequency), scalar("phase", phase)

    def __call__(self, distance: Tensor) -> Tensor:
        """cos(frequency d + phase)."""
        frequency, phase = (value.to(distance.device).double() for value in (self.frequency, self.phase))
        return torch.cos(frequency * distance.double() + phase)

    def expand(self, longest: float) -> Expansion:
        coefficient = torch.exp(1j * self.phase.double())
        return Expansion([Term(1j * self.frequency.double(), coefficient.reshape(1))], [])

    def rounding(self, distance: Tensor) -> Tensor:
        """The rounding of frequency times distance, in radians."""
        return _EPS * self.frequency.detach().to(distance.device).double().abs() * distance.double()

    def children(self) -> list[tuple[str, Tensor | TreeFunction]]:
        return [("frequency", self.frequency), ("phase", self.phase)]


class Table(TreeFunction):
    """values_k at d = k unit, and 0 from d = K unit on: any function, where distances are multiples of a unit.

    Exact. A column of the field costs O(N log^2 N) at most: products with Hankel matrices, up to 64 distances as they
    are, above by fast Fourier transforms (with rounding relative to the largest value); what is beyond the table costs
    nothing, so that a short one is O(K N log N).

    Args:
        values: `[K]`.
        unit: All distances are multiples of it, to 1e-6 of it; others are an error.
    """

    def __init__(self, values: Parameters, unit: float = 1.0) -> None:
        self.values = vector("values", values)
        self.unit: float = _check_unit(unit)

    def __call__(self, distance: Tensor) -> Tensor:
        """The value at the nearest multiple of the unit."""
        place = (distance.double() / self.unit).round().long()
        values = torch.cat([self.values.to(distance.device).double(), distance.new_zeros(1, dtype=torch.float64)])
        return values[place.clamp(max=len(self.values))]

    def expand(self, longest: float) -> Expansion:
        return Expansion([], [self])

    def times(self, other: TreeFunction | Term | Table) -> Table:
        """The product with any function, which is a table again.

        Args:
            other: The other function.
        """
        distance = torch.arange(len(self.values), dtype=torch.float64, device=self.values.device) * self.unit
        return Table(self.values.double() * other(distance), self.unit)

    def children(self) -> list[tuple[str, Tensor | TreeFunction]]:
        return [("values", self.values)]

    def __repr__(self) -> str:
        return f"Table({self.values.tolist()!r}, unit={self.unit!r})"


class Sum(TreeFunction):
    """f + g.

    Args:
        left: f, or a number.
        right: g, or a number.
    """

    def __init__(self, left: TreeFunction, right: TreeFunction) -> None:
        self.left, self.right = as_function(left), as_function(right)

    def __call__(self, distance: Tensor) -> Tensor:
        return self.left(distance) + self.right(distance)

    def expand(self, longest: float) -> Expansion:
        """The terms and tables of both."""
        left, right = self.left.expand(longest), self.right.expand(longest)
        return Expansion(left.terms + right.terms, left.tables + right.tables)

    def rounding(self, distance: Tensor) -> Tensor:
        """Those of both."""
        return self.left.rounding(distance) + self.right.rounding(distance)

    def children(self) -> list[tuple[str, Tensor | TreeFunction]]:
        return [("left", self.left), ("right", self.right)]


class Product(TreeFunction):
    """f g. The product of two sums of A and B complex terms has 2 A B (A B of real ones).

    Args:
        left: f, or a number.
        right: g, or a number.
    """

    def __init__(self, left: TreeFunction, right: TreeFunction) -> None:
        self.left, self.right = as_function(left), as_function(right)

    def __call__(self, distance: Tensor) -> Tensor:
        return self.left(distance) * self.right(distance)

    def expand(self, longest: float) -> Expansion:
        """The products of the terms and tables of both."""
        left, right = self.left.expand(longest), self.right.expand(longest)
        terms = [term for a in left.terms for b in right.terms for term in a * b]
        tables = [table.times(term) for table in left.tables for term in right.terms]
        tables += [table.times(other) for table in right.tables for other in left.terms]
        tables += [a.times(b) for a in left.tables for b in right.tables]
        return Expansion(terms, tables)

    def rounding(self, distance: Tensor) -> Tensor:
        """Of each, times the other."""
        left, right = self.left, self.right
        return left.rounding(distance) * right(distance).abs() + right.rounding(distance) * left(distance).abs()

    def children(self) -> list[tuple[str, Tensor | TreeFunction]]:
        return [("left", self.left), ("right", self.right)]


def Learnable(function: Function) -> Function:
    """A copy of a function whose parameters are new tensors that require grad: `function.parameters()` of an optimiser.

    The copy is exact or approximate as the function is, and costs as much; a backward pass costs about two forward
    ones, one for the field and one for the parameters.

    Args:
        function: The function; its parameters are copied.
    """
    out = copy.copy(function)
    for name, child in function.children():
        new = Learnable(child) if isinstance(child, TreeFunction) else child.detach().clone().requires_grad_()
        setattr(out, name, new)
    return out


def as_function(value: TreeFunction | Parameter) -> TreeFunction:
    """The function; a number or scalar tensor as a constant one.

    Args:
        value: A function, a number or a tensor of one.

    Raises:
        GraphPETypeError: It is neither.
    """
    if isinstance(value, TreeFunction):
        return value
    if isinstance(value, Tensor | Real) and not isinstance(value, bool):
        return Polynomial(scalar("constant", value).reshape(1))
    raise GraphPETypeError(f"f must be a function of graphpe.trees or a number, got {type(value).__name__}")


def distances_up_to(longest: float, points: int) -> Tensor:
    """0 and as many distances, half of them on a log scale.

    Args:
        longest: The longest.
        points: How many.
    """
    near = torch.logspace(-6, 0, points // 2, dtype=torch.float64) * longest
    even = torch.linspace(0, longest, points // 2, dtype=torch.float64)
    return torch.cat([torch.zeros(1, dtype=torch.float64), near, even])


def scalar(name: str, value: Parameter) -> Tensor:
    """A parameter that is one finite number, as a tensor; a tensor as it is.

    Args:
        name: What messages call it.
        value: The parameter.
    """
    out = _real_tensor(name, value)
    if out.dim() != 0:
        raise GraphPEValueError(f"{name} must be one number, got a tensor of shape {list(out.shape)}")
    return out


def vector(name: str, values: Parameters) -> Tensor:
    """A parameter of at least one finite number, as a tensor; a tensor as it is.

    Args:
        name: What messages call it.
        values: The parameter.
    """
    out = _real_tensor(name, values)
    if out.dim() != 1 or len(out) == 0:
        raise GraphPEValueError(f"{name} must be a list of at least one number, got shape {list(out.shape)}")
    return out


def _real_tensor(name: str, value: Parameter | Parameters) -> Tensor:
    try:
        if isinstance(value, str | bool | np.bool_):
            raise TypeError
        out = value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise GraphPETypeError(f"{name} must be numbers or a tensor, got {value!r}") from None
    if not out.is_floating_point():
        raise GraphPETypeError(f"{name} must be real and of a floating dtype, got {out.dtype}")
    if out.device.type == "cpu" and not bool(out.detach().isfinite().all()):
        raise GraphPEValueError(f"{name} must be finite, got {out.tolist()}")
    return out


def _check_unit(unit: float) -> float:
    if not isinstance(unit, Real) or isinstance(unit, bool):
        raise GraphPETypeError(f"unit must be a number, got {unit!r}")
    if not (math.isfinite(unit) and unit > 0):
        raise GraphPEValueError(f"unit must be positive and finite, got {unit}")
    return float(unit)


def _convolve(a: Tensor, b: Tensor) -> Tensor:
    """Coefficients of the product of two polynomials."""
    outer = a.unsqueeze(1) * b
    out = outer.new_zeros(len(a) + len(b) - 1)
    place = torch.arange(len(a), device=a.device).unsqueeze(1) + torch.arange(len(b), device=a.device)
    return out.index_add(0, place.flatten(), outer.flatten())
