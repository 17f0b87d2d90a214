"""Magnetic-Laplacian eigenvectors as a transform."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from graphpe.arguments import check_flags, check_seed
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.spectra.certificates import certify_all, magnetic_matrix
from graphpe.spectra.laplacian_eigenpairs import edge_phase_spectrum, magnetic_eigenpairs, magnetic_spectrum
from graphpe.spectra.signs import Basis, check_basis
from graphpe.structure.laplacian import Magnetic, Normalization, check_normalization, check_phases
from graphpe.structure.plan import Need, Plan
from graphpe.transforms.base import SpectralEncoding
from graphpe.transforms.names import check_count, check_own_name
from graphpe.transforms.values import Values


class MagneticLaplacianPE(SpectralEncoding):
    """Magnetic-Laplacian eigenvectors of the k smallest eigenvalues (directed, complex).

    L = I - D^-1/2 (S * exp(i Theta)) D^-1/2 ("sym"), with S the symmetrised weights and Theta_uv = 2 pi q on one-way
    edges u -> v, -2 pi q against them and 0 on reciprocal ones. Weights scale magnitudes, never phases; parallel edges
    count once without `edge_weight` and add with it; self-loops are kept; isolated nodes have eigenvalue 0. No
    eigenvector is dropped: the lowest one carries direction. Reversing all edges conjugates the encoding's eigenspaces.

    A graph that lists both directions of every edge has no direction: the vectors are then those of the Laplacian.
    Apply the transform before inverse edges are added.

    That is the definition of Geisler et al.; their released code differs in that an isolated node has eigenvalue 1
    ("sym") and that weights are not supported. `phases="edges"` is the definition of Huang et al., published with
    several potentials: each edge has a phase, so that a reciprocal pair enters as 2 cos(2 pi q), not as 1, and counts
    twice in the degrees; self-loops are left out; and an isolated node has eigenvalue 1 ("sym", "rw"). Only on graphs
    without reciprocal pairs, self-loops and isolated nodes are both the same. It differs from their released code in
    parallel edges, which add there. Reciprocal pairs make the vectors depend on q, also in a graph that lists both
    directions of every edge, where the lowest eigenvalue is then not 0.

    Writes, with B graphs and N nodes in total:

    | key | shape | dtype | |
    |---|---|---|---|
    | `magnetic_eigenvector_pe` | `[N, k]` | complex64 | unit norm in each graph, smallest eigenvalue first |
    | `magnetic_eigenvalues` | `[B, k]` | float32 | |
    | `magnetic_mask` | `[B, k]` | bool | False where a graph has fewer than k nodes: column and eigenvalue are zero |
    | `magnetic_gap` | `[B, k]` | float32 | with `certificate`: distance to the nearest other eigenvalue |
    | `magnetic_residual` | `[B, k]` | float32 | with `certificate`: norm of L v - lambda v |

    With Q potentials the shapes are `[N, Q, k]` and, of all others, `[B, Q, k]`: entry j is of the potential (j + 1) q.
    The spectra at several potentials know the walks of a graph by length and number of forward steps, which one
    potential does not.

    With another `attr_name` the others are `{attr_name}_eigenvalues` and so on. Phases are drawn when
    the transform runs: used as `pre_transform`, they are drawn once and stored. Vectors of a repeated eigenvalue are
    some orthonormal basis of its eigenspace unless `sign="map"` decides it. Small graphs are solved densely in
    complex128, O(n^3) time and O(n^2) memory a graph, large sparse ones by shift-invert; forests and other balanced
    graphs with real arithmetic (see `graphpe.structure.components`).

    Args:
        k: Number of eigenvectors, 1 to 4096.
        q: Potential: the phase of a one-way edge, in turns. 0 is the Laplacian; q and q + 1 are the same if not
            relative.
        relative_q: Divide `q` in each graph by max(min(m, n), 1), with m its number of one-way node pairs and n its
            number of nodes, so that no path turns the phase by more than 2 pi q.
        potentials: Q: the encoding is computed at q, 2 q, ..., Q q.
        normalization: `"sym"`, `"comb"` or `"rw"`.
        phases: `"pairs"` (Geisler et al.) or `"edges"` (Huang et al.).
        sign: `"random"` (a fresh phase for each graph and eigenvector at each call), `"canonical"` (a rule that does
            not depend on the order of the nodes, see `graphpe.spectra.signs`), `"map"` (a rule for the bases of
            repeated eigenvalues, too, where the graph decides them, see `graphpe.eigen.canonical`) or `"none"` (as the
            solver leaves them).
        certificate: Write how certain each vector is: its gap in the whole spectrum, the eigenvalue after the last one
            included, and its residual before it is rounded (`graphpe.spectra.certificates`). One eigenpair more is
            computed. Encoders with a `gap_width` read it.
        seed: Of the random phases. In a `DataLoader` worker, worker and epoch are mixed in.
        attr_name: Key of the eigenvectors.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no PyG graph.
        GraphPEValueError: A parameter is out of range; when called, there is no `edge_index`, or `edge_weight` is
            negative or not finite.

    References:
        Geisler, Li, Mankowitz, Cemgil, Günnemann, Paduraru: Transformers Meet Directed Graphs. ICML 2023, section 4.
        Huang, Wang, Li: What Are Good Positional Encodings for Directed Graphs? ICLR 2025 (several potentials).

    Example:
        >>> cycle = Data(edge_index=torch.tensor([[0, 1, 2], [1, 2, 0]]), num_nodes=3)  # 1 - cos(2 pi (j / 3 + q))
        >>> T.MagneticLaplacianPE(3, q=0.25, relative_q=False)(cycle).magnetic_eigenvalues
        tensor([[0.1340, 1.0000, 1.8660]])
        >>> T.MagneticLaplacianPE(3, potentials=4)(cycle).magnetic_eigenvector_pe.shape
        torch.Size([3, 4, 3])
    """

    default_stem = "magnetic"

    def __init__(
        self,
        k: int,
        *,
        q: float = 0.1,
        relative_q: bool = True,
        potentials: int = 1,
        normalization: Normalization = "sym",
        phases: Magnetic = "pairs",
        sign: Basis = "random",
        certificate: bool = False,
        seed: int = 0,
        attr_name: str = "magnetic_eigenvector_pe",
    ) -> None:
        self.k = check_count("k", k)
        self.q = _check_potential(q)
        self.relative_q, self.certificate = check_flags(relative_q=relative_q, certificate=certificate)
        self.potentials = check_count("potentials", potentials)
        check_normalization(normalization)
        self.normalization: Normalization = normalization
        check_phases(phases)
        self.phases: Magnetic = phases
        check_basis(sign)
        self.sign: Basis = sign
        self.seed = check_seed(seed)
        self.attr_name = check_own_name(attr_name, "complex eigenvectors")

    @property
    def columns(self) -> int:
        """Eigenvectors of all potentials."""
        return self.k * self.potentials

    @property
    def needs(self) -> list[Need]:
        """The lowest eigenpairs at each potential."""
        hermitian = "comb" if self.normalization == "comb" else "sym"
        spectrum = magnetic_spectrum if self.phases == "pairs" else edge_phase_spectrum
        options = self.relative_q, hermitian
        return [Need(spectrum, self._computed, (self.q * (j + 1), *options)) for j in range(self.potentials)]

    def encode(self, plan: Plan) -> Values:
        """Eigenvectors, eigenvalues and mask of each graph, and what is certain of them."""
        spectra, of_graphs = [], []
        for j in range(self.potentials):
            options = self.q * (j + 1), self.relative_q, self.normalization, self.phases
            pairs = magnetic_eigenpairs(plan, self._computed, *options)
            certificate: Sequence[Tensor] = ()
            if self.certificate:
                certificate = certify_all(plan, magnetic_matrix(plan, *options), pairs, self.k, False)
            spectra.append(pairs)
            of_graphs.append([pairs.values[:, : self.k], pairs.mask[:, : self.k], *certificate])
        vectors = self._directed(spectra, plan.graphs)
        parts = [torch.cat(part, dim=1) for part in zip(*of_graphs, strict=True)]  # in the order of `graph_keys`
        if self.potentials > 1:
            vectors, *parts = (part.unflatten(1, (self.potentials, self.k)) for part in (vectors, *parts))
        return Values(node={self.attr_name: vectors}, graph=dict(zip(self.graph_keys, parts, strict=True)))


def _check_potential(q: Any) -> float:
    if not isinstance(q, Real) or isinstance(q, bool):
        raise GraphPETypeError(f"q must be a number of turns such as 0.1, got {q!r}")
    if not math.isfinite(q):
        raise GraphPEValueError(f"q must be finite, got {q!r}")
    return float(q)
