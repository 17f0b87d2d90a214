"""Laplacian eigenvectors as a transform."""

from __future__ import annotations

from graphpe.arguments import check_flags, check_seed
from graphpe.spectra.certificates import certify_all, laplacian_matrix
from graphpe.spectra.laplacian_eigenpairs import laplacian_eigenpairs, nonzero_eigenpairs
from graphpe.spectra.scaling import Scaling, check_scaling, scale_eigenvectors
from graphpe.spectra.signs import Basis, check_basis
from graphpe.structure.laplacian import Normalization, check_normalization
from graphpe.structure.plan import Need, Plan
from graphpe.transforms.base import SpectralEncoding
from graphpe.transforms.names import check_attr_name, check_count
from graphpe.transforms.values import Values


class LaplacianPE(SpectralEncoding):
    """Laplacian eigenvectors of the k smallest eigenvalues (undirected).

    L = I - D^-1/2 S D^-1/2 ("sym"), D - S ("comb") or I - D^-1 S ("rw"), with S the symmetrised weights: S_uv =
    max(A_uv, A_vu), so that a directed edge counts as an undirected one, and once. Parallel edges count once without
    `edge_weight` and add with it; self-loops are kept; isolated nodes have eigenvalue 0 (see `graphpe.laplacian`).

    Writes, with B graphs and N nodes in total:

    | key | shape | dtype | |
    |---|---|---|---|
    | `laplacian_eigenvector_pe` | `[N, k]` | float32 | scaled in each graph, smallest eigenvalue first |
    | `laplacian_eigenvalues` | `[B, k]` | float32 | |
    | `laplacian_mask` | `[B, k]` | bool | False where a graph has fewer than k: column and eigenvalue are zero |
    | `laplacian_gap` | `[B, k]` | float32 | with `certificate`: distance to the nearest other eigenvalue |
    | `laplacian_residual` | `[B, k]` | float32 | with `certificate`: norm of L v - lambda v |

    With another `attr_name` the others are `{attr_name}_eigenvalues` and so on. Signs are drawn when the
    transform runs: used as `pre_transform`, they are drawn once and stored. Vectors of a repeated eigenvalue are some
    orthonormal basis of its eigenspace unless `sign="map"` decides it. Small graphs are solved densely in float64,
    O(n^3) time and O(n^2) memory a graph; large sparse ones by shift-invert (see `graphpe.eigen.lowest`).

    Differs from released code: PyG's `AddLaplacianEigenvectorPE` drops one vector however many components there are,
    gives isolated nodes eigenvalue 1 and directed graphs the real parts of a matrix that is not symmetric, and fails
    where a graph has fewer than k. GraphGPS's `LapPE` (and the forks of it) keeps the zero modes
    (`drop_zero_modes=False`), pads with NaN, gives isolated nodes eigenvalue 1, and takes "rw" through a solver for
    symmetric matrices, which it is not. In both parallel edges add.

    Args:
        k: Number of eigenvectors, 1 to 4096.
        normalization: `"sym"`, `"comb"` or `"rw"`.
        sign: `"random"` (a fresh sign for each graph and eigenvector at each call), `"canonical"` (a rule that does not
            depend on the order of the nodes, see `graphpe.spectra.signs`), `"map"` (a rule for the bases of repeated
            eigenvalues, too, where the graph decides them, see `graphpe.eigen.canonical`) or `"none"` (as the solver
            leaves them).
        scaling: Of the eigenvectors: `"L2"` (unit norm), or `"L1"`, `"abs-max"`, `"wavelength"`, `"wavelength-asin"`,
            `"wavelength-soft"` as in GraphGPS; formulas in `graphpe.spectra.scaling`.
        drop_zero_modes: Leave out the zero eigenvalues, one per connected component. Otherwise they come first.
        certificate: Write how certain each vector is: its gap in the whole spectrum, the eigenvalue after the last one
            and the zero modes included, and its residual before it is scaled and rounded
            (`graphpe.spectra.certificates`). One eigenpair more is computed. Encoders with a `gap_width` read it.
        seed: Of the random signs. In a `DataLoader` worker, worker and epoch are mixed in.
        attr_name: Key of the eigenvectors; None appends them to `x`, and `"x"` replaces it.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no PyG graph.
        GraphPEValueError: A parameter is out of range; when called, there is no `edge_index`, or `edge_weight` is
            negative or not finite.

    References:
        Dwivedi, Joshi, Luu, Laurent, Bengio, Bresson: Benchmarking Graph Neural Networks. JMLR 2023, section 4.

    Example:
        >>> cycle = Data(edge_index=torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]]), num_nodes=4)
        >>> out = T.LaplacianPE(5)(cycle)  # the zero mode is left out, so that 3 eigenvectors remain
        >>> out.laplacian_eigenvector_pe.shape, out.laplacian_eigenvalues.round(decimals=4)
        (torch.Size([4, 5]), tensor([[1., 1., 2., 0., 0.]]))
        >>> out.laplacian_mask
        tensor([[ True,  True,  True, False, False]])
    """

    default_stem = "laplacian"

    def __init__(
        self,
        k: int,
        *,
        normalization: Normalization = "sym",
        sign: Basis = "random",
        scaling: Scaling = "L2",
        drop_zero_modes: bool = True,
        certificate: bool = False,
        seed: int = 0,
        attr_name: str | None = "laplacian_eigenvector_pe",
    ) -> None:
        self.k = check_count("k", k)
        check_normalization(normalization)
        self.normalization: Normalization = normalization
        check_basis(sign)
        self.sign: Basis = sign
        check_scaling(scaling)
        self.scaling: Scaling = scaling
        self.drop_zero_modes, self.certificate = check_flags(drop_zero_modes=drop_zero_modes, certificate=certificate)
        self.seed = check_seed(seed)
        self.attr_name = check_attr_name(attr_name)

    @property
    def needs(self) -> list[Need]:
        """The lowest eigenpairs."""
        return [Need(nonzero_eigenpairs, self._computed, ("comb" if self.normalization == "comb" else "sym",))]

    def encode(self, plan: Plan) -> Values:
        """Eigenvectors, eigenvalues and mask of each graph, and what is certain of them."""
        pairs = laplacian_eigenpairs(plan, self._computed, self.normalization, self.drop_zero_modes)
        graph = {self.eigenvalues_name: pairs.values[:, : self.k], self.mask_name: pairs.mask[:, : self.k]}
        if self.certificate:
            matrix = laplacian_matrix(plan, self.normalization)
            found = certify_all(plan, matrix, pairs, self.k, self.drop_zero_modes)
            graph |= {self.gap_name: found.gap, self.residual_name: found.residual}
        vectors = self._directed([pairs], plan.graphs)
        vectors = scale_eigenvectors(vectors, graph[self.eigenvalues_name], plan.graphs.batch, self.scaling)
        return Values(node={self.attr_name: vectors}, graph=graph)
