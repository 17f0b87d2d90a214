"""Heat kernels as a transform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from graphpe.arguments import check_choice, check_flags, check_number, check_seed
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.spectra.heat_and_diffusion import check_times, heat_kernel, heat_kernel_diagonal, heat_steps
from graphpe.spectra.laplacian_eigenpairs import full_spectrum
from graphpe.structure.laplacian import Normalization, check_normalization
from graphpe.structure.plan import Need, Plan
from graphpe.transforms.base import Encoding
from graphpe.transforms.names import check_attr_name, check_count, check_own_name
from graphpe.transforms.values import Values
from graphpe.walks.diagonal_powers import Estimate
from graphpe.walks.return_probabilities import returns


class HeatKernelPE(Encoding):
    """Heat that flows along the edges for some time: exp(-t L), its diagonal or all of it.

    L is the Laplacian of the symmetrised weights S_uv = max(A_uv, A_vu): I - D^-1/2 S D^-1/2 ("sym"), D - S ("comb") or
    I - D^-1 S ("rw"); parallel edges count once without `edge_weight` and add with it, self-loops are kept, isolated
    nodes keep all their heat (see `graphpe.laplacian`). Column t of node i is exp(-t L)_ii, of the pair (i, j)
    exp(-t L)_ij, in [0, 1]. For "rw" that is the probability that a walk from i whose steps come at rate 1 is at j at
    time t; the diagonals of "rw" and "sym" are equal. Under "comb" time is in units of 1 / `edge_weight`.

    Writes `heat_kernel_pe`: `[N, T]` float32 for T times; at level "pair" `[sum n^2, T]`, where row i n + j of a graph
    of n nodes is the pair (i, j). The diagonal comes from return probabilities of random walks (see `RandomWalkPE`:
    what walks of about t / 2 + 4 sqrt(t) steps reach, summed over nodes; t times the largest degree for "comb"), or,
    of small graphs for "comb" or times above 30, from the full spectrum; pairs from the full spectrum, O(n^3) time and
    O(n^2) memory a graph, and O(n^3) for each time. A `Compose` shares both. A diagonal that would take longer than
    `graphpe.limits` allow is refused; `estimate` is as for `RandomWalkPE`. In float64: where degrees d
    differ by many orders of magnitude, "comb" has errors of about 1e-16 t max d, pairs of "rw" of 1e-16 sqrt(d_j /
    d_i); "sym" has no such limit.

    GraphGPS's `HKdiagSE` drops the zero mode, the heat that stays for ever (1/n of a connected graph, if "comb"), and
    uses "comb": `HeatKernelPE(times, normalization="comb", drop_zero_modes=True)`. It drops whatever lies below 1e-8,
    here it is one mode for each connected component.

    Args:
        times: T diffusion times, positive.
        level: `"node"` or `"pair"`.
        normalization: `"sym"`, `"comb"` or `"rw"`.
        drop_zero_modes: Leave out the stationary part; pairs are then in [-1, 1].
        estimate: Random vectors to estimate the diagonal of large graphs with, 1 to 4096; None: always exact.
        seed: Of these vectors.
        attr_name: Key of the encoding; for values of nodes None appends them to `x`, and `"x"` replaces it.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no PyG graph.
        GraphPEValueError: A parameter is out of range; when called, there is no `edge_index`, or `edge_weight` is
            negative or not finite.

    References:
        Kreuzer, Beaini, Hamilton, Létourneau, Tossou: Rethinking Graph Transformers with Spectral Attention. NeurIPS
        2021, section 2.4. Rampášek et al.: Recipe for a General, Powerful, Scalable Graph Transformer. NeurIPS 2022,
        table 1.

    Example:
        >>> link = Data(edge_index=torch.tensor([[0], [1]]), num_nodes=3)
        >>> T.HeatKernelPE([0.5, 10.0])(link).heat_kernel_pe
        tensor([[0.6839, 0.5000],
                [0.6839, 0.5000],
                [1.0000, 1.0000]])
        >>> T.HeatKernelPE([0.5], level="pair")(link).heat_kernel_pe.view(3, 3)
        tensor([[0.6839, 0.3161, 0.0000],
                [0.3161, 0.6839, 0.0000],
                [0.0000, 0.0000, 1.0000]])
    """

    working_bytes = 56

    def __init__(
        self,
        times: Sequence[float],
        *,
        level: Literal["node", "pair"] = "node",
        normalization: Normalization = "sym",
        drop_zero_modes: bool = False,
        estimate: int | None = None,
        seed: int = 0,
        attr_name: str | None = "heat_kernel_pe",
    ) -> None:
        if isinstance(times, str) or not isinstance(times, Sequence):
            raise GraphPETypeError(f"times must be a list of numbers, got {times!r}")
        self.times = tuple(check_number("times", time) for time in times)
        check_times(self.times)
        check_count("the number of times", len(self.times))
        check_choice("level", level, ("node", "pair"))
        self.level = level
        check_normalization(normalization)
        self.normalization: Normalization = normalization
        self.drop_zero_modes = check_flags(drop_zero_modes=drop_zero_modes)[0]
        if estimate is not None and level == "pair":
            raise GraphPEValueError("estimate is for level='node': kernels of pairs are always exact")
        self.estimate = None if estimate is None else check_count("estimate", estimate)
        self.seed = check_seed(seed)
        own = level == "pair"
        self.attr_name = check_own_name(attr_name, "values of pairs of nodes") if own else check_attr_name(attr_name)

    @property
    def keys(self) -> list[str]:
        """Keys of the node values that it writes."""
        return [self.value_key] if self.level == "node" else []

    @property
    def pair_keys(self) -> list[str]:
        """Keys of the pair values that it writes."""
        return [self.value_key] if self.level == "pair" else []

    @property
    def columns(self) -> int:
        return len(self.times)

    @property
    def needs(self) -> list[Need]:
        """Return probabilities for the diagonal at short times, all eigenpairs for the rest."""
        length = heat_steps(self.times, self.normalization)
        if self.level == "node" and length is not None:
            return [Need(returns, length, ("both", self._estimate))]
        return [Need(full_spectrum, 0, ("comb" if self.normalization == "comb" else "sym",))]

    @property
    def _estimate(self) -> Estimate | None:
        return None if self.estimate is None else Estimate(self.estimate, self.seed)

    def encode(self, plan: Plan) -> Values:
        """Heat kernels of each node, or of each pair."""
        options = self.times, self.normalization, self.drop_zero_modes
        if self.level == "node":
            return Values(node={self.attr_name: heat_kernel_diagonal(plan, *options, self._estimate)})
        return Values(pair={self.value_key: heat_kernel(plan, *options)})
