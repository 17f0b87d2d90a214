from __future__ import annotations

from graphpe.benchmarks.grid.reports.rankings import ranking_section
from graphpe.benchmarks.grid.statistics.ranks import Ranking, ranking


def ranked(columns: list[str], blocks: int) -> Ranking:
    found = ranking({f"{n}": {name: -float(place) for place, name in enumerate(columns)} for n in range(blocks)})
    assert isinstance(found, Ranking)
    return found


def test_what_tasks_alone_tell_apart_stands_beside_the_ranking() -> None:
    columns = ["a", "b", "c", "none"]
    both = "\n".join(ranking_section(ranked(columns, 12), 0.01, ranked(columns, 6)))
    # Nemenyi: 2.569 sqrt(4 * 5 / (6 * 6)) = 1.91 (Demsar 2006, table 5): only ranks 1 and 2 are as far from 4.
    assert "With the 6 tasks alone as blocks" in both
    assert "the critical difference is 1.91; told apart from none (4.00): a (1.00), b (2.00)." in both
    few = "\n".join(ranking_section(ranked(columns, 12), 0.01, ranked(columns, 2)))
    assert "told apart from none (4.00): no column." in few
    without = "\n".join(ranking_section(ranked(["a", "b", "c"], 12), 0.01, ranked(["a", "b", "c"], 6)))
    assert "the critical difference is 1.35." in without
    assert "tasks alone" not in "\n".join(ranking_section(ranked(columns, 12), 0.01, "no ranking over tasks"))
