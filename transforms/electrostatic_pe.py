"""Statistics of electrostatic potentials as a transform."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch

from graphpe.arguments import check_choice
from graphpe.spectra.electrostatics import STATISTICS, potential_statistics, with_the_node_itself
from graphpe.spectra.laplacian_eigenpairs import symmetrised
from graphpe.spectra.resistance import pseudo_inverse, resistances
from graphpe.structure.plan import Need, Plan
from graphpe.transforms.base import Encoding
from graphpe.transforms.names import check_attr_name
from graphpe.transforms.values import Values

Statistics = Literal["others", "graphgps"]


class ElectrostaticPE(Encoding):
    """Statistics of the potentials that unit charges cause, as in GraphGPS's `ElstaticSE`.

    V_ij = L+_ij - L+_jj with L+ the pseudo-inverse of the combinatorial Laplacian L = D - S: the potential at i of a
    unit charge at j, measured against that at j itself, so that V_ij <= 0 = V_jj. With weights as conductances, S_uv =
    max(A_uv, A_vu); parallel edges count once without `edge_weight` and add with it; self-loops do nothing. The columns
    of node u, over the other nodes v of its connected component:

    | column | | |
    |---|---|---|
    | 0, 1, 2, 3 | min, max, mean, standard deviation of V_vu | what the charge at u causes elsewhere |
    | 4, 5, 6, 7 | min, max, mean, standard deviation of V_uv | what charges elsewhere cause at u |
    | 8 | sum_v P_vu V_vu | what u causes at its neighbours, weighted by u's share in their edges |
    | 9 | sum_v P_uv V_uv | the mean of what the neighbours of u cause at u |

    Column 2 is -n/(n-1) L+_uu and column 6 the same for all nodes of a component, -tr(L+) / (n - 1), n being its nodes;
    with P_uv = S_uv / sum_w S_uw, loops left out. A node without neighbours has zeros.

    Writes `electrostatic_pe`, `[N, 10]` float32 in units of 1 / `edge_weight`: weights c
    times as large give values c times as small. Solved in float64, on the CPU: small graphs from the resistances of all
    pairs, O(n^2) time on trees to O(n^3) on dense graphs, which a `Compose` shares with `ResistancePE`. Of graphs of
    2,000 nodes and more, trees take O(n), other components n solves with sparse factors in the memory of these; what
    would take longer than `graphpe.limits` allow (a minute) is refused.

    Differs from GraphGPS's released code, whose columns 0, 4, 8 and 9 these are on connected graphs without parallel
    edges: there the node itself, with V_uu = 0, counts as one of the others. So the maxima (1, 5) are 0 everywhere, the
    means (2, 6) are (n - 1) / n times these; and columns 3 and 7 are standard deviations of a sample of n values, not
    of the n - 1 others as a population: sqrt(s^2 + m^2 / n) with s and m these deviations and means. `statistics=
    "graphgps"` gives all ten columns as there. In both, components are kept apart and isolated nodes have zeros (there:
    components are mixed, isolated nodes give NaN), and column 5 is that of V_uv (there: column 1 once more; both 0).

    Args:
        statistics: `"others"`: as in the table; `"graphgps"`: with the node itself among the others and deviations of a
            sample, as in GraphGPS's code.
        attr_name: Key of the encoding; None appends it to `x`, and `"x"` replaces it.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no PyG graph.
        GraphPEValueError: `statistics` is not known; when called, there is no `edge_index`, or `edge_weight` is
            negative or not finite, or a graph would take too long.

    References:
        Kreuzer, Beaini, Hamilton, Létourneau, Tossou: Rethinking Graph Transformers with Spectral Attention. NeurIPS
        2021, section 2.4. Rampášek et al.: Recipe for a General, Powerful, Scalable Graph Transformer. NeurIPS 2022,
        table 1.

    Example:
        >>> path_and_node = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=4)
        >>> T.ElectrostaticPE()(path_and_node).electrostatic_pe[:, :4]
        tensor([[-1.0000, -0.6667, -0.8333,  0.1667],
                [-0.3333, -0.3333, -0.3333,  0.0000],
                [-1.0000, -0.6667, -0.8333,  0.1667],
                [ 0.0000,  0.0000,  0.0000,  0.0000]])
    """

    def __init__(self, *, statistics: Statistics = "others", attr_name: str | None = "electrostatic_pe") -> None:
        self.statistics: Statistics = check_choice("statistics", statistics, get_args(Statistics))
        self.attr_name = check_attr_name(attr_name)

    @property
    def columns(self) -> int:
        return STATISTICS

    @property
    def needs(self) -> list[Need]:
        """The pseudo-inverse of the Laplacian, and the resistances that it is made of."""
        return [Need(resistances, 0), Need(pseudo_inverse, 0)]

    def encode(self, plan: Plan) -> Values:
        """Statistics of each node."""
        value = potential_statistics(plan)
        if self.statistics == "graphgps":
            label = plan.once(symmetrised).components.label
            sizes = torch.from_numpy(np.bincount(label)[label]).to(value.device)
            value = with_the_node_itself(value, sizes)
        return Values(node={self.attr_name: value})
