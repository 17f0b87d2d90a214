"""Ranks of links among all pairs with the same first node: MRR and Hits@K as the papers on PCQM-Contact have them.

A link (i, j) is ranked among pairs (i, k) of its graph:

* `raw`: all of them, other links and (i, i) included: Dwivedi et al., Long Range Graph Benchmark, NeurIPS 2022, as
  released with GraphGPS;
* `filtered`: those that are no links, (i, i) included;
* `extended filtered`: those that are no links, without (i, i): Tönshoff et al., Where Did the Gap Go?, LoG 2023, for
  this one and the one before.

Values are means over the links of a graph, then over graphs; a graph without a link counts as 0, as released.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Variant = Literal["raw", "filtered", "extended filtered"]
RANKED: dict[Variant, str] = {"raw": "raw", "filtered": "filtered", "extended filtered": "extended"}
"""The ranks of each variant among `LinkRanks`."""

HITS = (1, 3, 10)


class LinkRanks(NamedTuple):
    """The ranks of links, from 1, each `[links]` float64. Of equal scores: the mean of the best and the worst rank.

    Attributes:
        raw: Among all pairs.
        filtered: Among pairs that are no links.
        extended: Among these, without that of the first node with itself.
        graph: Graph of each link.
    """

    raw: Tensor
    filtered: Tensor
    extended: Tensor
    graph: Tensor


def link_ranks(scores: Tensor, link: Tensor, sizes: Tensor) -> LinkRanks:
    """Ranks of links among the ordered pairs of nodes of their graphs.

    Args:
        scores: Of all ordered pairs of each graph, row-major, `[sum n_b^2]`.
        link: Which of them are links, `[sum n_b^2]` bool.
        sizes: Number of nodes of each graph, `[B]`.
    """
    squares = sizes**2
    place = link.nonzero().flatten()
    graph = torch.searchsorted(squares.cumsum(0), place, right=True)
    size = sizes[graph]
    first_pair = (squares.cumsum(0) - squares)[graph]
    row = first_pair + (place - first_pair) // size * size  # where the pairs of its first node begin
    node = (place - first_pair) // size
    # All pairs (i, k) of each link (i, j), one after the other.
    which = torch.arange(len(place)).repeat_interleave(size)
    second = torch.arange(len(which)) - (size.cumsum(0) - size).repeat_interleave(size)
    other = row[which] + second
    own = scores[place][which]
    beaten = (scores[other] > own).double() + 0.5 * (scores[other] == own).double()
    beaten[other == place[which]] = 0

    def rank(kept: Tensor) -> Tensor:
        return torch.ones(len(place), dtype=torch.float64).index_add(0, which, beaten * kept)

    free = ~link[other]
    return LinkRanks(rank(torch.ones_like(free)), rank(free), rank(free & (second != node[which])), graph)


def ranked_metrics(ranks: Tensor, graph: Tensor, graphs: int) -> dict[str, float]:
    """MRR and Hits@1, 3 and 10.

    Args:
        ranks: Of links, `[links]`.
        graph: Graph of each, `[links]`.
        graphs: Number of graphs.
    """
    count = torch.zeros(graphs, dtype=torch.float64).index_add(0, graph, torch.ones_like(ranks)).clamp(min=1)
    each = {"MRR": 1 / ranks} | {f"Hits@{most}": (ranks <= most).double() for most in HITS}
    return {
        name: float((torch.zeros_like(count).index_add(0, graph, value) / count).mean()) for name, value in each.items()
    }
