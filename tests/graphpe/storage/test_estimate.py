from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from graphpe import transforms as T
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.storage.estimate import (
    check_pair_limit,
    column_bytes,
    describe,
    encoded_columns,
    graphs_per_second,
)
from graphpe.transforms.base import PairEncoding
from graphpe.transforms.values import Values


class Ones(PairEncoding):
    attr_name = "relative_ones"

    def encode(self, plan) -> Values:
        return Values(pair={self.attr_name: torch.ones(plan.graphs.num_pairs, 5)})


@pytest.fixture
def graphs() -> PackedGraphs:
    return PackedGraphs.from_data_list(
        [Data(x=torch.zeros(n, 2), edge_index=torch.zeros(2, n, dtype=torch.long)) for n in (3, 10, 4)]
    )


def test_columns_are_those_that_are_written(graphs: PackedGraphs) -> None:
    transform = T.Compose([T.MagneticLaplacianPE(3), Ones()])
    encoded = transform(graphs)
    columns = encoded_columns(graphs, transform)
    for column in columns:
        level, _, key = column.name.partition(".")
        value = getattr(encoded, level)[key]
        assert (column.dtype, column.shape) == (value.dtype, tuple(value.shape[1:]))
        assert column_bytes(column, graphs) == value.numel() * value.element_size()
    assert encoded_columns(graphs.select([]), transform) == columns


def test_an_encoding_that_fails_on_the_sample(graphs: PackedGraphs) -> None:
    class Broken(Ones):
        def encode(self, plan) -> Values:
            raise IndexError("a\nbug")

    with pytest.raises(GraphPERuntimeError, match=r"Broken\(\) failed on a sample \(IndexError: a bug\)"):
        encoded_columns(graphs, Broken())


def test_pairs_are_counted_exactly(graphs: PackedGraphs) -> None:
    columns = encoded_columns(graphs, Ones())
    size = (9 + 100 + 16) * 5 * 4
    check_pair_limit(graphs, columns, size)
    with pytest.raises(GraphPEValueError) as error:
        check_pair_limit(graphs, columns, size - 1)
    text = str(error.value)
    for part in ("relative_ones", "2.5 kB", "125 pairs", "of 20 bytes", f"pair_limit={size - 1}", "on the fly"):
        assert part in text
    assert "\n" not in text


def test_size_lines(graphs: PackedGraphs) -> None:
    columns = encoded_columns(graphs, Ones())
    assert describe(graphs, [], columns) == [
        "3 graphs, 17 nodes, 17 edges",
        "    0 bytes  graphs and their values",
        "     2.5 kB  relative_ones [125, 5] float32",
    ]


def test_speed(graphs: PackedGraphs) -> None:
    assert graphs_per_second(graphs, T.DegreePE(), torch.device("cpu")) > 10
