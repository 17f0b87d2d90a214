"""Magnetic-Laplacian eigenvectors as a transform."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import torch

from graphpe.arguments import check_flags, check_seed
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.spectra.laplacian_eigenpairs import edge_phase_spectrum, magnetic_eigenpairs, magnetic_spectrum
from graphpe.spectra.signs import Convention, check_convention, orient
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

    With Q potentials the shapes are `[N, Q, k]`, `[B, Q, k]` and `[B, Q, k]`: entry j is of the potential (j + 1) q.
    The spectra at several potentials know the walks of a graph by length and number of forward steps, which one
    potential does not.

    With another `attr_name` the last two are `{attr_name}_eigenvalues` and `{attr_name}_mask`. Phases are drawn when
    the transform runs: used as `pre_transform`, they are drawn once and stored. Vectors of a repeated eigenvalue are
    some orthonormal basis of its eigenspace. Small graphs are solved densely in complex128, O(n^3) time and
    O(n^2) memory a graph, large sparse ones by shift-invert; forests and other balanced graphs with real arithmetic
    (see `graphpe.structure.components`).

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
            not depend on the order of the nodes, see `graphpe.spectra.signs`) or `"none"` (as the solver leaves them).
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
        sign: Convention = "random",
        seed: int = 0,
        attr_name: str = "magnetic_eigenvector_pe",
    ) -> None:
        self.k = check_count("k", k)
        self.q = _check_potential(q)
        self.relative_q = check_flags(relative_q=relative_q)[0]
        self.potentials = check_count("potentials", potentials)
        check_normalization(normalization)
        self.normalization: Normalization = normalization
        check_phases(phases)
        self.phases: Magnetic = phases
        check_convention(sign)
        self.sign: Convention = sign
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
        return [Need(spectrum, self.k, (self.q * (j + 1), self.relative_q, hermitian)) for j in range(self.potentials)]

    def encode(self, plan: Plan) -> Values:
        """Eigenvectors, eigenvalues and mask of each graph."""
        graphs = plan.graphs
        spectra = [
            magnetic_eigenpairs(plan, self.k, self.q * (j + 1), self.relative_q, self.normalization, self.phases)
            for j in range(self.potentials)
        ]
        # Phases are drawn for all potentials of a graph together, so that one graph or many at once get the same.
        vectors = torch.cat([pairs.vectors for pairs in spectra], dim=1)
        generator = self._random() if self.sign == "random" else None
        vectors = orient(vectors, graphs.batch, graphs.num_graphs, self.sign, generator)
        values = torch.cat([pairs.values for pairs in spectra], dim=1)
        mask = torch.cat([pairs.mask for pairs in spectra], dim=1)
        if self.potentials > 1:
            shape = self.potentials, self.k
            vectors, values, mask = (part.unflatten(1, shape) for part in (vectors, values, mask))
        return Values(node={self.attr_name: vectors}, graph={self.eigenvalues_name: values, self.mask_name: mask})


def _check_potential(q: Any) -> float:
    if not isinstance(q, Real) or isinstance(q, bool):
        raise GraphPETypeError(f"q must be a number of turns such as 0.1, got {q!r}")
    if not math.isfinite(q):
        raise GraphPEValueError(f"q must be finite, got {q!r}")
    return float(q)
