from __future__ import annotations

import numpy as np
import pytest
import torch

from graphpe import transforms as T
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.storage import chunks
from graphpe.storage.chunks import encode_in_chunks, written_keys
from graphpe.transforms.base import PairEncoding
from graphpe.transforms.values import Values


class Sums(PairEncoding):
    """i + j of each pair of nodes, counted over the graph: known by hand, wrong in any other order."""

    attr_name = "relative_sum"

    def encode(self, plan) -> Values:
        sizes = plan.graphs.sizes.tolist()
        blocks = [torch.arange(n)[:, None] + torch.arange(n) for n in sizes]
        return Values(pair={self.attr_name: torch.cat([block.reshape(-1) for block in blocks])})


@pytest.fixture
def packed(make_graphs) -> PackedGraphs:
    sizes = np.random.default_rng(3).integers(0, 12, 40).tolist()
    return PackedGraphs.from_data_list(make_graphs([7, 0, 1, 0, *sizes], seed=8, weights=True))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_GRAPHS", 5)
    monkeypatch.setattr(chunks, "CHUNK_PAIRS", 300)


def test_values_are_those_of_one_call_on_all_graphs(packed: PackedGraphs) -> None:
    transform = T.Compose([T.LaplacianPE(3, sign="none"), T.RandomWalkPE(4)])
    encoded, whole = encode_in_chunks(packed, transform), transform(packed)
    assert encoded.objects == packed.objects
    for level in ("node", "edge", "graph"):
        assert list(getattr(encoded, level)) == list(getattr(whole, level))
    assert torch.equal(encoded.node["x"], packed.node["x"])
    torch.testing.assert_close(encoded.node["random_walk_pe"], whole.node["random_walk_pe"])
    torch.testing.assert_close(encoded.graph["laplacian_eigenvalues"], whole.graph["laplacian_eigenvalues"])
    assert torch.equal(encoded.graph["laplacian_mask"], whole.graph["laplacian_mask"])


def test_pair_values_come_back_in_the_order_of_the_graphs(packed: PackedGraphs) -> None:
    encoded = encode_in_chunks(packed, Sums())
    assert torch.equal(encoded.pair["relative_sum"], Sums()(packed).pair["relative_sum"])
    for data in encoded.select([9, 0, 2]).to_data_list():
        n = data.num_nodes
        assert data.relative_sum.reshape(n, n).tolist() == [[i + j for j in range(n)] for i in range(n)]


def test_chunks_are_small_and_every_graph_is_in_one(packed: PackedGraphs) -> None:
    seen: list[int] = []
    sizes: list[int] = []

    class Spy(Sums):
        def __call__(self, graphs):
            assert len(graphs) <= 5
            assert len(graphs) == 1 or len(graphs) * graphs.max_size**2 <= 300
            assert not graphs.objects
            sizes.extend(graphs.sizes.tolist())
            return super().__call__(graphs)

    encode_in_chunks(packed, Spy(), progress=seen.append)
    assert sum(seen) == len(packed)
    assert sizes == sorted(packed.sizes.tolist())


def test_without_graphs() -> None:
    empty = PackedGraphs.from_data_list([])
    encoded = encode_in_chunks(empty, T.LaplacianPE(3))
    assert encoded.node["laplacian_eigenvector_pe"].shape == (0, 3)
    assert encoded.graph["laplacian_mask"].shape == (0, 3)


@pytest.mark.parametrize("transform", [lambda graphs: graphs, None, T.LaplacianPE, "LaplacianPE(k=3)"])
def test_what_does_not_say_its_keys_is_no_encoding(packed: PackedGraphs, transform) -> None:
    with pytest.raises(GraphPETypeError, match="expected an encoding such as") as error:
        encode_in_chunks(packed, transform)
    assert "\n" not in str(error.value)


def test_a_key_that_is_not_written(packed: PackedGraphs) -> None:
    class Silent(Sums):
        def __call__(self, graphs):
            return graphs

    with pytest.raises(GraphPEValueError, match="says that it writes the pair value 'relative_sum'"):
        encode_in_chunks(packed, Silent())


def test_values_of_another_dtype_for_some_graphs(packed: PackedGraphs) -> None:
    class Fickle(Sums):
        def encode(self, plan) -> Values:
            values = super().encode(plan).pair[self.attr_name]
            return Values(pair={self.attr_name: values.float() if plan.graphs.max_size > 8 else values})

    with pytest.raises(GraphPEValueError, match=r"'relative_sum' must be torch.int64 .* for all graphs"):
        encode_in_chunks(packed, Fickle())


def test_written_keys_by_room() -> None:
    levels = written_keys(T.Compose([T.LaplacianPE(3), Sums()]))
    assert levels == {
        "node": ["laplacian_eigenvector_pe"],
        "graph": ["laplacian_eigenvalues", "laplacian_mask"],
        "pair": ["relative_sum"],
    }
