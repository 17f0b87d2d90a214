"""What encoders of eigenpairs share: the eigenpairs of a batch, with padding removed, and the constructor's part."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_counts, check_flags, check_not_negative
from graphpe.errors import GraphPEValueError
from graphpe.models.batches.nodes import graph_of_nodes
from graphpe.models.batches.reading import read_encoding
from graphpe.models.encoders.eigen.random_phases import phases_of_graphs


@dataclass(frozen=True)
class Eigenpairs:
    """The eigenpairs of a batch of N nodes and B graphs: K = Q k a graph, those of one potential side by side.

    Attributes:
        vectors: `[N, K, 1]` real, or `[N, K, 2]` with real and imaginary parts; zero where `mask` is False.
        values: Eigenvalues, `[B, K]`; zero where `mask` is False.
        mask: False for padding, `[B, K]`.
        graph: Graph of each node, `[N]`.
        potentials: Q.
    """

    vectors: Tensor
    values: Tensor
    mask: Tensor
    graph: Tensor
    potentials: int

    @property
    def node_mask(self) -> Tensor:
        """The mask of each node, `[N, K]`."""
        return self.mask.index_select(0, self.graph)

    @property
    def labelled_values(self) -> Tensor:
        """Eigenvalues and, if there are several potentials, which one it is as a one-hot row: `[B, K, 1 or 1 + Q]`."""
        value = self.values.unsqueeze(2)
        if self.potentials == 1:
            return value
        pairs = self.values.shape[1] // self.potentials
        potential = torch.eye(self.potentials, dtype=value.dtype, device=value.device).repeat_interleave(pairs, dim=0)
        return torch.cat([value, potential.expand(value.shape[0], -1, -1)], dim=2)

    @property
    def tokens(self) -> Tensor:
        """Each node's entry of each eigenvector beside the eigenvalue, `[N, K, C]`; C is `token_width`."""
        return torch.cat([self.vectors, self.labelled_values.index_select(0, self.graph)], dim=2)

    def graph_mean(self, x: Tensor) -> Tensor:
        """Means over the nodes of each graph in float32 or better, from `[N, ...]` to `[B, ...]`.

        Args:
            x: Values of the nodes, `[N, ...]`.
        """
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        total = x.new_zeros(self.values.shape[0], *x.shape[1:]).index_add(0, self.graph, x)
        return total / self.sizes.view(-1, *[1] * (x.dim() - 1))

    @cached_property
    def sizes(self) -> Tensor:
        """Number of nodes of each graph as a number to divide by, `[B]`: at least 1."""
        ones = torch.ones_like(self.graph, dtype=self.values.dtype)
        return self.values.new_zeros(self.values.shape[0]).index_add(0, self.graph, ones).clamp(min=1)

    def taper(self, width: float) -> Tensor:
        """A weight of each eigenpair that falls to 0 at the last one, `[B, K]`: min(1, (lambda_k - lambda) / width).

        The k-th eigenpair may be one of several with its eigenvalue, an arbitrary part of an eigenspace that k cuts.
        The weight removes that eigenspace, and continuously so. It is 1 where a graph has fewer than k eigenpairs, and
        everywhere for a width of 0; for padding it is 0.

        Args:
            width: Distance of eigenvalues from the last one at which the weight reaches 1; 0 for none.
        """
        if width == 0:
            return self.mask.to(self.values.dtype)
        value, mask = (x.view(x.shape[0], self.potentials, -1) for x in (self.values, self.mask))
        weight = ((value[:, :, -1:] - value) / width).clamp(0, 1)
        return torch.where(mask.all(2, keepdim=True), weight, 1).flatten(1) * self.mask

    def scaled(self) -> Eigenpairs:
        """The same with vectors times the square root of the graph's size.

        Entries of vectors of unit norm are then of size 1 in every graph. What is even in them, as everything that is
        invariant to signs, would otherwise drown beside the biases of a network: phi(v) + phi(-v) is 2 phi(0) as long
        as no ReLU turns on or off between v and -v.
        """
        return replace(self, vectors=self.vectors * self.sizes.sqrt().index_select(0, self.graph).view(-1, 1, 1))


@dataclass(frozen=True)
class EigenKeys:
    """Under which names a batch holds its eigenpairs, and which they are.

    Attributes:
        key: Name of the eigenvectors: `[num_nodes, k]`, or `[num_nodes, potentials, k]`.
        k: Number of eigenvectors (of each potential).
        eigenvalues_key: Name of the eigenvalues, `[num_graphs, k]` or `[num_graphs, potentials, k]`.
        mask_key: Name of a mask of the same shape, False for columns that are padding; these contribute nothing,
            whatever they hold. None if there is no such mask.
        complex: Whether the vectors are complex.
        potentials: Number of potentials.
    """

    key: str
    k: int
    eigenvalues_key: str
    mask_key: str | None
    complex: bool
    potentials: int


class EigenpairEncoder(nn.Module):
    """The common part of encoders of eigenpairs: reads and checks them, and shows the other parameters.

    The parameters here are the program's; a subclass adds keyword-only literals, stored under their names.

    Args:
        keys: The eigenpairs; its fields become attributes.
        width: Width of the result.
        gap_width: With a width above 0, vectors are multiplied by the weights of `gap_weights`.

    Raises:
        GraphPEValueError: If a size is not positive; in `forward` if the batch has no tensors of those names, or of
            another shape or kind.
    """

    def __init__(self, keys: EigenKeys, width: int, gap_width: float = 0.0) -> None:
        super().__init__()
        (self.gap_width,) = check_not_negative(gap_width=gap_width)
        self.k, self.width, self.potentials = check_counts(k=keys.k, width=width, potentials=keys.potentials)
        (self.complex,) = check_flags(complex=keys.complex)
        self.key = keys.key
        self.eigenvalues_key = keys.eigenvalues_key
        self.mask_key = keys.mask_key

    @property
    def pairs(self) -> int:
        """Number K of eigenpairs of a graph, over all potentials."""
        return self.potentials * self.k

    @property
    def parts(self) -> int:
        """Numbers of an eigenvector's entry: 1 real or 2."""
        return 2 if self.complex else 1

    @property
    def value_width(self) -> int:
        """Columns of `Eigenpairs.labelled_values`."""
        return 1 if self.potentials == 1 else 1 + self.potentials

    @property
    def token_width(self) -> int:
        """Columns of `Eigenpairs.tokens`."""
        return self.parts + self.value_width

    def read(self, batch: Data, randomise: bool = False) -> Eigenpairs:
        """The eigenpairs of a batch in the parameters' precision, at least float32; tapered with a `gap_width`.

        Args:
            batch: The batch.
            randomise: Whether signs or phases are drawn afresh.

        Raises:
            GraphPEValueError: If the batch has no tensors of the encoder's names, or of another shape or kind.
        """
        eigen = read_eigenpairs(self, batch, next(self.parameters()).dtype, randomise)
        if self.gap_width == 0:
            return eigen
        weight = gap_weights(self, batch, self.gap_width, eigen.values.shape[0], self.potentials)
        weight = weight.to(eigen.vectors.dtype).index_select(0, eigen.graph)
        return replace(eigen, vectors=eigen.vectors * weight.unsqueeze(2))

    def __repr__(self) -> str:
        common = ("width", *(field.name for field in fields(EigenKeys)))
        literals = [name for name in inspect.signature(type(self)).parameters if name not in common]
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in literals)})"


class TakesVectors(Protocol):
    """A reader of eigenvectors: `key` and `k` as in `EigenKeys`, and whether they are `complex`."""

    key: str
    k: int
    complex: bool


class HasMask(Protocol):
    """A reader of what stands beside eigenvectors: `k` and `mask_key` as in `EigenKeys`."""

    k: int
    mask_key: str | None


class TakesEigenpairs(TakesVectors, HasMask, Protocol):
    """A reader of eigenpairs; attributes as in `EigenKeys`."""

    eigenvalues_key: str
    potentials: int


def read_eigenpairs(reader: TakesEigenpairs, batch: Data, dtype: torch.dtype, randomise: bool = False) -> Eigenpairs:
    """The eigenpairs of a batch in a precision, at least float32.

    Args:
        reader: Says which.
        batch: The batch.
        dtype: The precision.
        randomise: Whether signs or phases are drawn afresh.

    Raises:
        GraphPEValueError: If the batch has no tensors of the reader's names, or of another shape or kind.
    """
    dtype = torch.promote_types(dtype, torch.float32)
    parts = read_parts(reader, batch, reader.potentials).to(dtype)
    graph, graphs = graph_of_nodes(batch, parts)
    values = _read_per_graph(reader, batch, reader.eigenvalues_key, graphs, reader.potentials).to(dtype)
    if reader.mask_key is None:
        mask = torch.ones_like(values, dtype=torch.bool)
    else:
        mask = _read_per_graph(reader, batch, reader.mask_key, graphs, reader.potentials).bool()
        values = torch.where(mask, values, 0)
        parts = torch.where(mask.index_select(0, graph).unsqueeze(2), parts, 0)
    if randomise:
        parts = phases_of_graphs(parts, graph, graphs)
    return Eigenpairs(parts, values, mask, graph, reader.potentials)


def gap_weights(reader: HasMask, batch: Data, width: float, graphs: int, potentials: int = 1) -> Tensor:
    """Weights of eigenvectors by how well the graph decides them, `[B, K]`.

        w = gap^2 / (gap^2 + delta^2),    delta = max(width, residual)

    gap is the distance of the eigenvalue to the nearest other one of the whole spectrum, and residual the vector's, as
    a transform with `certificate=True` writes them. A change of the graph by a matrix E turns a vector by an angle of
    up to about |E| / gap: what is decided by a gap of less than the width fades out. Vectors of a repeated eigenvalue,
    whose basis is arbitrary, weigh nothing. Padding weighs 0.

    Args:
        reader: Says which eigenpairs, by `mask_key`: `X_gap` and `X_residual` stand beside `X_mask`.
        batch: The batch.
        width: Gap at which a weight is 1/2; positive.
        graphs: Number B of graphs.
        potentials: Number Q of potentials: K = Q k.

    Raises:
        GraphPEValueError: If there is no mask, or the batch has no gaps and residuals.
    """
    if reader.mask_key is None or not reader.mask_key.endswith("_mask"):
        raise GraphPEValueError(
            f"gap_width={width} of {type(reader).__name__} reads X_gap beside X_mask: give mask_key the name of the "
            f"transform's mask, got {reader.mask_key!r}"
        )
    stem = reader.mask_key.removesuffix("_mask")
    gap, residual = (
        _read_per_graph(reader, batch, f"{stem}_{what}", graphs, potentials).float() for what in ("gap", "residual")
    )
    length = torch.hypot(gap, residual.clamp(min=width)).clamp(min=torch.finfo(gap.dtype).tiny)
    return (gap / length).square()


def _read_per_graph(reader: HasMask, batch: Data, key: str, graphs: int, potentials: int) -> Tensor:
    value = getattr(batch, key, None)
    if isinstance(value, Tensor) and value.dim() and value.shape[0] != graphs:
        raise GraphPEValueError(
            f"batch.{key} has {value.shape[0]} rows for {graphs} graphs: {type(reader).__name__} takes one a graph"
        )
    return read_encoding(batch, key, reader.k, potentials, level="graph", rows=graphs)


def read_parts(encoder: TakesVectors, batch: Data, potentials: int = 1) -> Tensor:
    """The eigenvectors that an encoder reads, `[N, K, 1]`, or `[N, K, 2]`: complex ones as real and imaginary parts.

    Args:
        encoder: The encoder.
        batch: The batch.
        potentials: Number Q of potentials, with k vectors each: K = Q k.

    Raises:
        GraphPEValueError: If the batch has no eigenvectors of that name, or of another shape or kind.
    """
    vectors = read_encoding(batch, encoder.key, encoder.k, potentials)
    if vectors.is_complex() != encoder.complex:
        kind, wanted = ("complex", "complex=True") if vectors.is_complex() else ("real", "complex=False")
        raise GraphPEValueError(f"batch.{encoder.key} is {kind}: build {type(encoder).__name__} with {wanted}")
    return torch.stack([vectors.real, vectors.imag], dim=2) if encoder.complex else vectors.unsqueeze(2)


def masked_sum(x: Tensor, mask: Tensor) -> Tensor:
    """The sum over the eigenpairs of each node, `[N, C]`.

    Args:
        x: What is summed, `[N, K, C]`.
        mask: False for what does not count, `[N, K]`.
    """
    return torch.where(mask.unsqueeze(2), x, 0).sum(1)
