from __future__ import annotations

import networkx as nx
import numpy as np
from torch_geometric.utils import from_networkx

from graphpe.benchmarks.measure.canonical import columns, count, table
from graphpe.graphs.packed import PackedGraphs


def test_counts_of_a_path_and_a_star() -> None:
    graphs = PackedGraphs.from_data_list([from_networkx(nx.path_graph(4)), from_networkx(nx.star_graph(4))])
    whole = count(graphs)
    # The path has three simple eigenvalues: cos(pi j / 3) entries; the star 1, three times, and 2.
    assert (whole["simple"], whole["repeated"]) == (4, 1)
    assert (whole["no basis"], whole["no basis as published"]) == (1, 1)
    assert whole["not by MAP"] == whole["not by moments"] == 2  # the odd waves of the path
    low = columns(graphs, np.random.default_rng(0))
    assert (low["graphs"], low["columns"], low["decided"], low["whole"]) == (2, 7, 2, 0)
    assert (low["otherwise"], low["changed"]) == (0, 0)
    lines = table({"two": (whole, low)})
    assert "| their sign undecided by MAP | 2 (50.00 %) |" in lines
