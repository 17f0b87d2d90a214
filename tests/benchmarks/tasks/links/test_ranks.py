from __future__ import annotations

import pytest
import torch

from graphpe.benchmarks.tasks.links.ranks import HITS, LinkRanks, link_ranks, ranked_metrics
from graphpe.files.ogb import evaluator

SIZES = (4, 1, 7, 5)


def graphs(ties: bool) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Scores and links of each graph; the last has no link."""
    scores = [torch.randn(n, n) for n in SIZES]
    if ties:
        scores = [each.round() for each in scores]
    links = [torch.rand(n, n) < 0.4 for n in SIZES]
    for each in links:
        each.fill_diagonal_(False)
    links[0][1, 2] = links[2][0, 3] = True
    links[3][:] = False
    return scores, links


def one_by_one(scores: list[torch.Tensor], links: list[torch.Tensor]) -> list[list[tuple[float, float, float]]]:
    """Ranks of each link, by looking at every pair."""
    found = []
    for score, link in zip(scores, links, strict=True):
        ranks = []
        for i, j in link.nonzero().tolist():
            of_three = []
            for filtered, itself in ((False, True), (True, True), (True, False)):
                others = [k for k in range(len(score)) if k != j]
                if filtered:
                    others = [k for k in others if not link[i, k]]
                if not itself:
                    others = [k for k in others if k != i]
                above = sum(float(score[i, k]) > float(score[i, j]) for k in others)
                level = sum(float(score[i, k]) == float(score[i, j]) for k in others)
                of_three.append(1 + above + level / 2)
            ranks.append(tuple(of_three))
        found.append(ranks)
    return found  # type: ignore[return-value]


def ranks_of(scores: list[torch.Tensor], links: list[torch.Tensor]) -> LinkRanks:
    flat = torch.cat([each.flatten() for each in scores])
    return link_ranks(flat, torch.cat([each.flatten() for each in links]), torch.tensor(SIZES))


@pytest.mark.parametrize("ties", [False, True])
def test_ranks_and_metrics_are_those_of_each_pair_looked_at(ties: bool) -> None:
    scores, links = graphs(ties)
    ranks, expected = ranks_of(scores, links), one_by_one(scores, links)
    for number, found in enumerate((ranks.raw, ranks.filtered, ranks.extended)):
        assert found.tolist() == [each[number] for graph in expected for each in graph]
        metrics = ranked_metrics(found, ranks.graph, len(SIZES))
        each = [[1 / rank[number] for rank in graph] for graph in expected]
        assert metrics["MRR"] == pytest.approx(sum(sum(values) / len(values) for values in each if values) / len(SIZES))
        for most in HITS:
            hit = [[rank[number] <= most for rank in graph] for graph in expected]
            mean = sum(sum(values) / len(values) for values in hit if values) / len(SIZES)
            assert metrics[f"Hits@{most}"] == pytest.approx(mean)


def test_raw_is_what_the_evaluator_of_ogb_gives() -> None:
    scores, links = graphs(ties=True)
    ranks = ranks_of(scores, links)
    for graph, (score, link) in enumerate(zip(scores, links, strict=True)):
        source, target = link.nonzero().t()
        if not len(source):
            continue
        kept = torch.ones(len(source), len(score), dtype=torch.bool)
        kept[torch.arange(len(source)), target] = False
        given = {"y_pred_pos": score[source, target], "y_pred_neg": score[source][kept].view(len(source), -1)}
        official = evaluator("ogbl-citation2").eval(given)
        own = ranks.raw[ranks.graph == graph]
        torch.testing.assert_close((1 / own).float(), official["mrr_list"])
        for most in HITS:
            assert torch.equal((own <= most).float(), official[f"hits@{most}_list"])
