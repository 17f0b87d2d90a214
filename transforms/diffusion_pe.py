"""Diffusion kernels, and coordinates in which they are inner products, as a transform."""

from __future__ import annotations

from typing import Literal

from graphpe.arguments import check_choice, check_flags, check_number, check_seed
from graphpe.errors import GraphPEValueError
from graphpe.spectra.heat_and_diffusion import Diffusion, diffusion_coordinates, diffusion_kernel, diffusion_response
from graphpe.spectra.laplacian_eigenpairs import full_spectrum, nonzero_eigenpairs
from graphpe.spectra.signs import Convention, check_convention, orient
from graphpe.structure.plan import Need, Plan
from graphpe.transforms.base import RandomSigns
from graphpe.transforms.names import check_attr_name, check_count, check_own_name, stem_of
from graphpe.transforms.values import Values


class DiffusionPE(RandomSigns):
    """Leading eigenvectors of a diffusion kernel, or the kernel itself (undirected).

    K = f(L) with L = I - T, T = D^-1/2 S D^-1/2 and S the symmetrised weights (S_uv = max(A_uv, A_vu); parallel edges
    count once without `edge_weight` and add with it, self-loops are kept; on an isolated node L is 0 and K is 1):

    | kernel | f(L) | as coefficients of T |
    |---|---|---|
    | `"heat"` | exp(-beta L) | GDC: sum_k e^-beta beta^k / k! T^k |
    | `"p-step"` | (I - gamma L)^steps | `steps` lazy steps that stay with probability 1 - gamma |
    | `"ppr"` | alpha (I - (1 - alpha) T)^-1 | GDC: sum_k alpha (1 - alpha)^k T^k |

    The same kernel of the walk D^-1 S is D^-1/2 K D^1/2.

    At level "node": the k eigenvectors of K with the largest eigenvalues kappa = f(lambda), each times sqrt(kappa), the
    zero modes of L left out unless `drop_zero_modes=False`. All three f decrease, so that these are the lowest
    frequencies of L; the inner products of two nodes' rows are the best approximation of rank k of K (without its
    stationary part), all of K for k = n: `PairBias("diffusion_pe", head="kernel", factored=True)` is then the bias by K
    without the matrix, and with `head="linear"` that by diffusion distances K_ii + K_jj - 2 K_ij. At level "pair": all
    of K.

    Writes, with B graphs and N nodes in total:

    | key | shape | dtype | |
    |---|---|---|---|
    | `diffusion_pe` | `[N, k]` | float32 | squares of a column add up to its kappa in each graph |
    | `diffusion_pe_eigenvalues` | `[B, k]` | float32 | kappa, largest first |
    | `diffusion_pe_mask` | `[B, k]` | bool | False where a graph has fewer than k: column and eigenvalue are zero |
    | or, at level "pair", `diffusion_pe` | `[sum n^2, 1]` | float32 | in [0, 1]; row i n + j is the pair (i, j) |

    Signs and repeated eigenvalues as for `LaplacianPE`; the pair level has no such freedom. O(n^3) time and O(n^2)
    memory a graph at most, shared with the other spectral encodings in a `Compose`.

    Differs from the code of Benchmarking-PEs (`GCKN`), which sorts the eigenvalues of the kernel upwards and so takes
    the highest frequencies.

    Args:
        k: Number of eigenvectors, 1 to 4096, at level "node"; None at level "pair".
        kernel: `"heat"`, `"p-step"` or `"ppr"`.
        level: `"node"` or `"pair"`.
        beta: Diffusion time of `"heat"`, positive.
        steps: Steps of `"p-step"`, 1 to 4096.
        gamma: Step width of `"p-step"`, above 0 and at most 0.5 (beyond, high frequencies have the larger |kappa|).
        alpha: Restart probability of `"ppr"`, above 0 and at most 1.
        drop_zero_modes: At level "node", leave out the zero modes, one for each connected component (kappa = 1); pairs
            always have them.
        sign: `"random"`, `"canonical"` or `"none"`, as for `LaplacianPE`.
        seed: Of the random signs. In a `DataLoader` worker, worker and epoch are mixed in.
        attr_name: Key of the encoding; for values of nodes None appends them to `x`, and `"x"` replaces it.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no PyG graph.
        GraphPEValueError: A parameter is out of range; when called, there is no `edge_index`, or `edge_weight` is
            negative or not finite.

    References:
        Gasteiger, Weißenberger, Günnemann: Diffusion Improves Graph Learning. NeurIPS 2019, section 3. Mialon, Chen,
        Selosse, Mairal: GraphiT: Encoding Graph Structure in Transformers. 2021, section 3.

    Example:
        >>> star = Data(edge_index=torch.tensor([[0, 0, 0], [1, 2, 3]]), num_nodes=4)
        >>> T.DiffusionPE(4)(star).diffusion_pe_eigenvalues
        tensor([[0.3679, 0.3679, 0.1353, 0.0000]])
        >>> T.DiffusionPE(kernel="p-step", level="pair")(star).diffusion_pe.view(4, 4)[0]
        tensor([0.5000, 0.2887, 0.2887, 0.2887])
    """

    working_bytes = 48

    def __init__(
        self,
        k: int | None = None,
        *,
        kernel: Diffusion = "heat",
        level: Literal["node", "pair"] = "node",
        beta: float = 1.0,
        steps: int = 3,
        gamma: float = 0.5,
        alpha: float = 0.15,
        drop_zero_modes: bool = True,
        sign: Convention = "random",
        seed: int = 0,
        attr_name: str | None = "diffusion_pe",
    ) -> None:
        check_choice("level", level, ("node", "pair"))
        if (k is None) == (level == "node"):
            raise GraphPEValueError(f"level {level!r} takes {'k' if k is None else 'no k'}, got k={k!r}")
        self.k = None if k is None else check_count("k", k)
        self.kernel: Diffusion = kernel
        self.level = level
        self.beta = check_number("beta", beta)
        self.steps = check_count("steps", steps)
        self.gamma = check_number("gamma", gamma)
        self.alpha = check_number("alpha", alpha)
        diffusion_response(self.kernel, self.beta, self.steps, self.gamma, self.alpha)
        (self.drop_zero_modes,) = check_flags(drop_zero_modes=drop_zero_modes)
        check_convention(sign)
        self.sign: Convention = sign
        self.seed = check_seed(seed)
        own = level == "pair"
        self.attr_name = check_own_name(attr_name, "values of pairs of nodes") if own else check_attr_name(attr_name)

    @property
    def keys(self) -> list[str]:
        """Keys of the node values that it writes."""
        return [self.value_key] if self.level == "node" else []

    @property
    def graph_keys(self) -> list[str]:
        """Keys of the graph values that it writes."""
        return [self.eigenvalues_name, self.mask_name] if self.level == "node" else []

    @property
    def pair_keys(self) -> list[str]:
        """Keys of the pair values that it writes."""
        return [self.value_key] if self.level == "pair" else []

    @property
    def eigenvalues_name(self) -> str:
        """Key of the eigenvalues of the kernel."""
        return f"{stem_of(self.attr_name, 'diffusion_pe')}_eigenvalues"

    @property
    def mask_name(self) -> str:
        """Key of the mask of eigenvectors that are there."""
        return f"{stem_of(self.attr_name, 'diffusion_pe')}_mask"

    @property
    def columns(self) -> int:
        """Eigenvectors, or one kernel."""
        return 1 if self.k is None else self.k

    @property
    def needs(self) -> list[Need]:
        """The lowest eigenpairs of the Laplacian, or all."""
        return [Need(full_spectrum, 0, ("sym",)) if self.k is None else Need(nonzero_eigenpairs, self.k, ("sym",))]

    def encode(self, plan: Plan) -> Values:
        """Coordinates of each node, with eigenvalues and mask of each graph; or the kernel of each pair."""
        response = diffusion_response(self.kernel, self.beta, self.steps, self.gamma, self.alpha)
        if self.k is None:
            return Values(pair={self.value_key: diffusion_kernel(plan, response)[:, None]})
        vectors, values, mask = diffusion_coordinates(plan, self.k, response, self.drop_zero_modes)
        generator = self._random() if self.sign == "random" else None
        vectors = orient(vectors, plan.graphs.batch, plan.graphs.num_graphs, self.sign, generator)
        return Values(
            node={self.attr_name: vectors},
            graph={self.eigenvalues_name: values, self.mask_name: mask},
        )
