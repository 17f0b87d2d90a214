"""Every p-value that one report prints, corrected together: who reads twelve columns on three tasks asks that often."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphpe.benchmarks.grid.reports.sizes import by_size, loss_differences
from graphpe.benchmarks.grid.results import Combination
from graphpe.benchmarks.grid.statistics.effects import column_ranks, differences_from_none, scores_of
from graphpe.benchmarks.grid.statistics.paired import holm, paired_t, sign_flips
from graphpe.benchmarks.grid.statistics.ranks import Ranking, ranking

LEVEL = 0.05
"""A difference is more than chance where its corrected p is below."""

Pair = tuple[str, str]
"""Row and setup."""


@dataclass(frozen=True)
class SectionTests:
    """The corrected p-values of one section: a task, its settings as given, chosen by validation, or tuned.

    Attributes:
        cells: By row and setup, that a column differs from none in this model (paired t over seeds).
        columns: By row, that it differs from none over all models (sign flips).
        losses: By row and setup, that its loss per doubling of size differs from none's (paired t over seeds).
    """

    cells: Mapping[Pair, float]
    columns: Mapping[str, float]
    losses: Mapping[Pair, float]


@dataclass(frozen=True)
class Family:
    """The tests of one report.

    Attributes:
        sections: By the section's name.
        rankings: By what is ranked (`""`, `best`, `tuned`): the ranking over tasks and models, or why there is none.
        task_rankings: Likewise, with tasks alone as blocks: of each column its mean rank over the models of a task.
        ranking_p_values: Likewise, the corrected p-value of its Friedman test.
        count: How many p-values were corrected together.
    """

    sections: Mapping[str, SectionTests]
    rankings: Mapping[str, Ranking | str]
    task_rankings: Mapping[str, Ranking | str]
    ranking_p_values: Mapping[str, float]
    count: int


def family_of(sections: Mapping[str, Sequence[Combination]]) -> Family:
    """Every test of a report, corrected together by Holm's method: the chance of any false positive in it stays 5 %.

    Among them are those of a column in each model, of a column over all models, of losses by size, and Friedman's of
    each ranking over tasks and models. Nemenyi's comparisons need no more: their critical difference holds for all
    pairs at once; nor do rankings over tasks alone, of which only these are printed. Which
    numbers LaTeX has in bold is no p-value that is printed, and corrected among those of its table.

    Args:
        sections: The combinations of each section, by name.
    """
    raw: dict[tuple[str, ...], float] = {}
    for name, combinations in sections.items():
        blocks: dict[str, list[list[float]]] = {}
        for each in combinations:
            if differences := differences_from_none(each, combinations):
                raw["cell", name, each.row, each.setup] = paired_t(differences)
                blocks.setdefault(each.row, []).append(differences)
        raw |= {("column", name, row): sign_flips(found) for row, found in blocks.items()}
        if of_sizes := by_size(combinations):
            raw |= {("loss", name, *pair): paired_t(found) for pair, found in loss_differences(of_sizes).items()}
    kinds = _by_kind(sections)
    rankings = {kind: ranking(_blocks(mine)) for kind, mine in kinds.items()}
    raw |= {("rank", kind): each.friedman.p_value for kind, each in rankings.items() if isinstance(each, Ranking)}
    corrected = dict(zip(raw, holm(list(raw.values())), strict=True))
    return Family(
        {
            name: SectionTests(
                cells={(key[2], key[3]): p for key, p in corrected.items() if key[:2] == ("cell", name)},
                columns={key[2]: p for key, p in corrected.items() if key[:2] == ("column", name)},
                losses={(key[2], key[3]): p for key, p in corrected.items() if key[:2] == ("loss", name)},
            )
            for name in sections
        },
        rankings,
        {kind: ranking(_blocks_of_tasks(mine)) for kind, mine in kinds.items()},
        {key[1]: p for key, p in corrected.items() if key[0] == "rank"},
        sum(not math.isnan(p) for p in raw.values()),
    )


def kind_of(combination: Combination) -> str:
    """How the setting of a combination came about: `""` as given, `best` of those listed, `tuned` of those drawn."""
    if not combination.chosen_from:
        return ""
    return "tuned" if combination.drawn else "best"


def _by_kind(sections: Mapping[str, Sequence[Combination]]) -> dict[str, list[Sequence[Combination]]]:
    found: dict[str, list[Sequence[Combination]]] = {}
    for combinations in sections.values():
        found.setdefault(kind_of(combinations[0]), []).append(combinations)
    return found


def _blocks(tasks: Sequence[Sequence[Combination]]) -> dict[str, dict[str, float]]:
    """A block for each task and model."""
    return {
        f"{combinations[0].task}, {setup}": scores
        for combinations in tasks
        for setup, scores in scores_of(combinations).items()
    }


def _blocks_of_tasks(tasks: Sequence[Sequence[Combination]]) -> dict[str, dict[str, float]]:
    """A block for each task, whose models share its data: of each column less its mean rank over them."""
    return {
        combinations[0].task: {each.row: -each.rank for each in column_ranks(combinations)} for combinations in tasks
    }
