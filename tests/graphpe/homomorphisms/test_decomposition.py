from __future__ import annotations

from graphpe.homomorphisms.decomposition import EDGES, TRIANGLES, WEIGHT, decompose
from graphpe.homomorphisms.patterns import clique, cycle, path, read_patterns


def kinds(expression) -> set[str]:
    if not isinstance(expression, tuple):
        return set()
    return {each for each in expression if isinstance(each, str)} | set().union(*map(kinds, expression))


def test_trees_need_no_tables():
    for pattern in read_patterns("Trees(8)"):
        for root in pattern.roots():
            assert kinds(decompose(pattern.num_nodes, pattern.edges, root)) <= {"weight", "edges", "times", "through"}


def test_treewidth_two_needs_no_enumeration():
    for n in range(3, 12):
        assert not kinds(decompose(n, cycle(n), 0)) & {"clique", "core"}
    fan = (*path(6), *((i, 6) for i in range(6)))
    assert not kinds(decompose(7, fan, 0)) & {"clique", "core"}
    assert not kinds(decompose(7, fan, 6)) & {"clique", "core"}


def test_cycles_are_halved():
    # Tables of four steps at most, for a cycle of eight.
    def reach(pairs):
        if pairs == EDGES:
            return 1
        return max(reach(each) for each in pairs[1:]) if pairs[0] == "both" else reach(pairs[1]) + reach(pairs[3])

    ((_, table, _),) = [each for each in decompose(8, cycle(8), 0) if each[0] == "through"]
    assert reach(table) == 4


def test_cliques_with_something_at_the_root_are_cliques():
    kite = (*clique(4), (0, 4))
    assert ("clique", 4) in decompose(5, kite, 0)[1:] or "clique" in kinds(decompose(5, kite, 0))
    assert "core" in kinds(decompose(5, kite, 4))


def test_what_patterns_share_is_equal():
    # A leaf at the end of a path is the path, seen from there.
    assert ("through", EDGES, decompose(3, path(3), 0)) in decompose(4, path(4), 0)
    assert decompose(2, path(2), 0) == ("times", WEIGHT, ("through", EDGES, WEIGHT))


def test_edges_of_triangles_are_kept_to():
    wheel = (*((0, i) for i in range(1, 6)), *((i, i % 5 + 1) for i in range(1, 6)))
    assert set(kinds(decompose(6, wheel, 0))) >= {"core", TRIANGLES[0]}
    bipartite = tuple((a, b) for a in range(3) for b in range(3, 6))
    assert "triangles" not in kinds(decompose(6, bipartite, 0))
