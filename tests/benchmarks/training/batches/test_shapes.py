from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphpe.benchmarks.training.batches.shapes import MOST_SHAPES, choose_shapes, dummy_sizes, shape_for, wasted
from graphpe.graphs.ragged import Ints


@settings(deadline=None)
@given(st.lists(st.integers(0, 12), max_size=8), st.integers(0, 6))
def test_dummy_graphs_have_the_nodes_and_pairs_that_are_asked_for(sizes: list[int], spare: int) -> None:
    nodes, pairs, slots = sum(sizes), sum(n * n for n in sizes), sum(sizes) + spare
    found = dummy_sizes(nodes, pairs, slots, most=12)
    if found is not None:
        assert (len(found), found.sum(), found @ found) == (slots, nodes, pairs)
        assert ((found >= 0) & (found <= 12)).all()


@pytest.mark.parametrize(("nodes", "pairs"), [(3, 4), (3, 2), (-1, 5), (2, 100)])
def test_what_no_graphs_have_is_not_found(nodes: int, pairs: int) -> None:
    assert dummy_sizes(nodes, pairs, 10, most=50) is None


def test_graphs_too_large_or_too_many_are_not_found() -> None:
    assert dummy_sizes(9, 81, 1, most=9) is not None
    assert dummy_sizes(9, 81, 1, most=8) is None
    assert dummy_sizes(9, 9, 8, most=8) is None


def sizes_like(name: str, rng: np.random.Generator) -> Ints:
    """Nodes of molecules such as those of ZINC (9 to 38) and of ogbg-molhiv (2 to 222, a few of them large)."""
    if name == "zinc":
        return np.clip(rng.normal(23.2, 4.5, 10_000).round(), 9, 38).astype(np.int64)
    sizes = np.clip(rng.lognormal(np.log(23.5), 0.42, 33_000).round(), 2, 222).astype(np.int64)
    large = rng.random(len(sizes)) < 0.004
    sizes[large] = rng.integers(80, 223, large.sum())
    return sizes


@pytest.mark.parametrize(("name", "size"), [("zinc", 32), ("zinc", 128), ("molhiv", 32), ("molhiv", 128)])
def test_few_shapes_hold_other_batches_than_they_were_chosen_for_and_waste_little(name: str, size: int) -> None:
    rng = np.random.default_rng(0)
    nodes = sizes_like(name, rng)
    edges = 2 * nodes + rng.integers(0, 9, len(nodes))

    def batches(count: int) -> list[tuple[Ints, int]]:
        chosen = [rng.choice(len(nodes), size, replace=False) for _ in range(count)]
        return [(nodes[ids], int(edges[ids].sum())) for ids in chosen]

    shapes, fresh = choose_shapes(batches(128)), batches(128)
    assert len(shapes) <= MOST_SHAPES
    waste = wasted(shapes, fresh)
    assert all(0 <= share < 0.15 for share in waste.values()), waste
    assert sum(shape_for(shapes, *batch) is None for batch in fresh) <= 0.05 * len(fresh)
    assert all(len({shape.nodes, shape.edges, shape.pairs}) == 3 for shape in shapes)


def test_no_batch_or_batches_without_edges_have_no_shape() -> None:
    assert choose_shapes([]) == []
    assert choose_shapes([(np.array([1]), 0)]) == []
