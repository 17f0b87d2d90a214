"""How far the eigenvectors of many graphs are certain: residuals, and gaps to the neighbouring eigenvalues.

    residual_j = |L v_j - lambda_j v_j|                 measured in double precision, for v_j of unit norm
    gap_j      = min over i != j of |lambda_i - lambda_j|         i over the whole spectrum, copies included

The sine of the angle between v_j and a true eigenvector is at most residual_j / gap_j (for a Hermitian L): where the
gap vanishes, any other basis of the eigenspace would have done, and a small change of the graph turns the vectors by
any angle (Davis and Kahan). `graphpe.certify` is the same for one operator, with a count that nothing is missing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from graphpe.eigen.result import Eigenpairs
from graphpe.spectra.laplacian_eigenpairs import symmetrised, symmetrised_edges
from graphpe.structure.adjacency import Ints
from graphpe.structure.laplacian import (
    Entries,
    Magnetic,
    Normalization,
    edge_phase_entries,
    laplacian_entries,
    magnetic_entries,
    relative_potential,
)
from graphpe.structure.plan import Plan

ALONE = 2.0
"""Gap of the only eigenvalue that there is: the most by which two of "sym" differ."""


class Certificates(NamedTuple):
    """What is certain of the k lowest eigenpairs of each of B graphs; zero where there is no eigenpair.

    Attributes:
        gap: `[B, k]` float64; 2 where a graph has only one eigenvalue.
        residual: `[B, k]` float64.
    """

    gap: Tensor
    residual: Tensor


def certify_all(plan: Plan, entries: Entries, pairs: Eigenpairs, k: int, zero_modes_dropped: bool) -> Certificates:
    """Gaps and residuals of the lowest eigenpairs of each graph; O(E k).

    Args:
        plan: The graphs.
        entries: The operator whose eigenpairs they are, block diagonal over the graphs.
        pairs: The lowest eigenpairs of each graph, at least k + 1: the neighbour of the last one is among them.
        k: Number of eigenpairs of each graph that are asked about.
        zero_modes_dropped: Whether zero eigenvalues come before these; every graph has one then.
    """
    values, mask = pairs.values[:, : k + 1], pairs.mask[:, : k + 1]
    step = torch.where(mask[:, 1:], values.diff(dim=1), torch.inf)  # [B, k]: to the next
    first = values[:, :1] if zero_modes_dropped else torch.full_like(values[:, :1], torch.inf)
    gap = torch.minimum(torch.cat([first, step], dim=1)[:, :k], step).clamp(min=0)
    gap = torch.where(gap.isinf(), ALONE, gap) * mask[:, :k]
    return Certificates(gap, _residuals(entries, plan.graphs.host_ptr, pairs.vectors[:, :k], values[:, :k]))


def _residuals(entries: Entries, ptr: Ints, vectors: Tensor, values: Tensor) -> Tensor:
    """|L v - lambda v| of each graph and column, `[B, k]`."""
    block, level = vectors.numpy(force=True), values.numpy(force=True)
    size = len(block)
    batch = np.repeat(np.arange(len(level)), np.diff(ptr))
    indptr = np.searchsorted(entries.row, np.arange(size + 1))
    off_diagonal = csr_matrix((entries.value, entries.col, indptr), shape=(size, size))
    square = np.abs(off_diagonal @ block + (entries.diagonal[:, None] - level[batch]) * block) ** 2
    total = np.zeros(level.shape)
    np.add.at(total, batch, square)
    return torch.from_numpy(np.sqrt(total)).to(values.device)


def laplacian_matrix(plan: Plan, normalization: Normalization) -> Entries:
    """The Laplacian that `laplacian_eigenpairs` decomposes.

    Args:
        plan: The graphs.
        normalization: `"comb"`, `"sym"` or `"rw"`.
    """
    pairs, degree, *_ = plan.once(symmetrised)
    return laplacian_entries(pairs, degree, normalization)


def magnetic_matrix(plan: Plan, q: float, relative_q: bool, normalization: Normalization, phases: Magnetic) -> Entries:
    """The Magnetic Laplacian that `magnetic_eigenpairs` decomposes; arguments as there.

    Args:
        plan: The graphs.
        q: Potential, in turns per one-way edge.
        relative_q: Whether it is divided by max(min(m, n), 1).
        normalization: `"comb"`, `"sym"` or `"rw"`.
        phases: `"pairs"` or `"edges"`.
    """
    (pairs, degree, _, ptr, batch), balance = (
        plan.once(symmetrised_edges) if phases == "edges" else (plan.once(symmetrised), None)
    )
    owner = batch[pairs.row]
    q_graph = relative_potential(pairs, owner, np.diff(ptr), q) if relative_q else np.full(len(ptr) - 1, q)
    entries = laplacian_entries(pairs, degree, normalization)
    if balance is None:
        return magnetic_entries(entries, pairs, q_graph[owner])
    return edge_phase_entries(entries, balance, q_graph[owner], normalization)
