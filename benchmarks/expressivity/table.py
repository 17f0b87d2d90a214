"""The expressivity report as a table: Markdown, CSV or LaTeX."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from graphpe.benchmarks.expressivity.graph_sets import GraphSet
from graphpe.benchmarks.expressivity.models import ModelVerdict
from graphpe.benchmarks.expressivity.pairs import Verdict
from graphpe.benchmarks.expressivity.sets import Case
from graphpe.benchmarks.grid.reports.latex import NEEDS, escaped

Kind = Literal["theory", "encoding", "model"]

_FIELDS = (
    "kind",
    "model",
    "encoding",
    "encoder",
    "dataset",
    "pairs",
    "apart",
    "deviation",
    "union",
    "alarms",
    "change",
    "nearest",
    "bound",
    "beyond",
    "exact",
)


@dataclass(frozen=True)
class Result:
    """Pairs of a set that something tells apart.

    Attributes:
        kind: A refinement that theory compares with, an encoding by itself, or a model.
        case: The model (empty for the others), and the encoding or refinement.
        dataset: The set.
        pairs: Pairs that were compared.
        apart: Pairs that are told apart, the mean over seeds; None where that is not decided.
        deviation: Standard deviation over seeds; 0 for one.
        union: Pairs that some seed tells apart.
        alarms: Pairs that do not count since a graph is told apart from itself, the mean over seeds.
        change: Largest change under a renumbering; None where a test looks at it.
        nearest: How much two graphs that are told apart differ at least; likewise.
        bound: The refinement that is known to tell apart as much, or more; empty where none does.
        beyond: Pairs that are told apart, and by the bound are not: a mistake.
        exact: Pairs whose outputs differ by more than rounding, the mean over seeds; None where that is not decided.
    """

    kind: Kind
    case: Case
    dataset: str
    pairs: int
    apart: float | None
    deviation: float = 0.0
    union: int | None = None
    alarms: float = 0.0
    change: float | None = None
    nearest: float | None = None
    bound: str = ""
    beyond: int = 0
    exact: float | None = None

    @property
    def label(self) -> str:
        """What a row is called."""
        return " + ".join(part for part in (self.case.model, _shown_encodings(self.case)) if part)


def of_refinement(name: str, data: GraphSet, apart: int) -> Result:
    """A line of the report from what a colour refinement tells apart."""
    return Result("theory", Case("", name), data.name, data.pairs, apart, 0.0, apart)


def of_encoding(verdict: Verdict, bound: str | None = None) -> Result:
    """A line of the report from what an encoding tells apart.

    Args:
        verdict: What it tells apart.
        bound: The refinement that bounds it.
    """
    return Result(
        "encoding",
        Case("", verdict.encoding),
        verdict.dataset,
        verdict.pairs,
        verdict.apart,
        0.0,
        verdict.apart,
        verdict.alarms,
        verdict.change,
        verdict.nearest,
        bound or "",
        verdict.beyond,
    )


def of_model(verdict: ModelVerdict, bound: str | None = None) -> Result:
    """A line of the report from what a model tells apart.

    Args:
        verdict: What it tells apart.
        bound: The refinement that bounds it.
    """
    apart = verdict.apart
    mean, alarms = (statistics.fmean(apart), statistics.fmean(verdict.alarms)) if apart else (None, 0.0)
    deviation = statistics.stdev(apart) if len(apart) > 1 else 0.0
    return Result(
        "model",
        verdict.case,
        verdict.dataset,
        verdict.pairs,
        mean,
        deviation,
        verdict.union,
        alarms,
        bound=bound or "",
        beyond=verdict.beyond,
        exact=statistics.fmean(verdict.exact) if verdict.exact else None,
    )


def as_markdown(
    results: Sequence[Result],
    command: str,
    *,
    rounds: int = 0,
    seeds: int = 3,
    epochs: int = 0,
    notes: Sequence[str] = (),
) -> str:
    """A table of each kind: one row an encoding or model, one column a set.

    Args:
        results: The results.
        command: The command that made them.
        rounds: Rounds of message passing after an encoding.
        seeds: Initialisations of each model.
        epochs: Epochs of training for each pair; 0 for random weights.
        notes: Lines about what was left out.
    """
    lines = [
        "# What encodings and models tell apart",
        "",
        "Pairs of graphs that are not isomorphic and are told apart; in brackets the pairs that are not. "
        "For graph8c, CSL and sr25 all pairs are compared, for EXP, CEXP and BREC each graph with its partner. "
        "`!` is followed by false alarms: pairs that do not count, because one of the graphs is told apart from a "
        "renumbering of itself.",
        "",
        f"    {command}",
        "",
    ]
    for kind in dict.fromkeys(result.kind for result in results):
        some = [result for result in results if result.kind == kind]
        lines += [*_heading(kind, rounds, seeds, epochs), "", *_markdown_table(some, kind), ""]
    if any(result.exact is not None for result in results):
        exact = [replace(result, apart=result.exact, deviation=0.0, alarms=0.0) for result in results]
        of_models = [result for result in exact if result.kind == "model"]
        lines += [
            "## Models with random weights, to rounding",
            "",
            _EXACT,
            "",
            *_markdown_table(of_models, "model"),
            "",
        ]
    lines += ["## Beyond the bound", "", *_beyond(results), ""]
    if any(result.dataset.startswith("BREC") for result in results):
        lines += ["## BREC", "", _BREC, ""]
    return "\n".join([*lines, *(f"Left out: {note}\n" for note in notes)]).rstrip("\n") + "\n"


def as_csv(results: Sequence[Result]) -> str:
    """One line a result."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_FIELDS)
    for each in results:
        numbers = [_number(value) for value in (each.apart, each.deviation, each.union, each.alarms)]
        changes = ["" if value is None else f"{value:.3g}" for value in (each.change, each.nearest)]
        encoder = each.case.encoder if each.kind == "model" else ""
        row = [each.kind, each.case.model, each.case.encodings, encoder, each.dataset, each.pairs, *numbers, *changes]
        writer.writerow([*row, each.bound, each.beyond if each.bound else "", _number(each.exact)])
    return out.getvalue()


def as_latex(results: Sequence[Result], *, seeds: int = 3, epochs: int = 0) -> str:
    """All of it as one table with `booktabs`: pairs that are told apart.

    Args:
        results: The results.
        seeds: Initialisations of each model.
        epochs: Epochs of training for each pair; 0 for random weights.
    """
    sets = list(dict.fromkeys(result.dataset for result in results))
    pairs = {
        result.dataset: max(each.pairs for each in results if each.dataset == result.dataset) for result in results
    }
    weights = f"trained on each pair for {epochs} epochs" if epochs else "with random weights"
    lines = [
        NEEDS.rstrip("\n"),
        r"\begin{table}",
        r"\centering",
        rf"\caption{{Pairs of non-isomorphic graphs told apart by colour refinement, by encodings alone, and by models "
        rf"{weights} (mean over {seeds} initialisation{'s' * (seeds > 1)}).}}",
        rf"\begin{{tabular}}{{l{'r' * len(sets)}}}",
        r"\toprule",
        " & ".join(["", *map(escaped, sets)]) + r" \\",
        " & ".join(["pairs", *(f"{pairs[name]:,}" for name in sets)]) + r" \\",
    ]
    for kind in dict.fromkeys(result.kind for result in results):
        lines.append(r"\midrule")
        rows = _rows([result for result in results if result.kind == kind])
        for label, cells in rows.items():
            texts = [_latex_cell(cells.get(name), pairs[name]) for name in sets]
            lines.append(" & ".join([escaped(label), *texts]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _rows(results: Sequence[Result]) -> dict[str, dict[str, Result]]:
    """Results by label, and by set."""
    out: dict[str, dict[str, Result]] = {}
    for result in results:
        out.setdefault(result.label, {})[result.dataset] = result
    return out


def _heading(kind: Kind, rounds: int, seeds: int, epochs: int) -> list[str]:
    if kind == "theory":
        return [
            "## What theory allows",
            "",
            "Colour refinement until nothing changes. Message passing without features is at most as strong as 1-WL "
            "(Xu et al. 2019), attention with hops as biases as SPD-WL (Zhang et al. 2023), networks that update pairs "
            "through triplets as 2-FWL, which is as strong as 3-WL (Maron et al. 2019). sr25 are strongly regular "
            "graphs of the same parameters, which 2-FWL cannot tell apart; walks, spectra and distances are known to "
            "2-FWL (Fürer 2010; Rattan & Seppelt 2023), so that no encoding of those can, either. Counts of "
            "homomorphisms from trees are known to 1-WL, from patterns of treewidth 2 to 2-FWL (Dvořák 2010; Dell, "
            "Grohe & Rattan 2018), and copies of motifs whose quotients all have such treewidths (Neuen 2024): cycles "
            "of up to 7 nodes, no cliques of 4.",
            "",
            "`at most` in the tables below: which of the three bounds what an encoding sees, or a model with its "
            "encodings; empty where none does. Each pair that is told apart is compared with the bound.",
        ]
    if kind == "encoding":
        alone = f"an encoding and {rounds} rounds of message passing" if rounds else "an encoding alone"
        return [
            "## Encodings",
            "",
            f"By {alone}, in double precision, before any training. Two graphs are told apart if they differ by more "
            "than ten times what a renumbering of the nodes changes; values that are kept in single precision have to "
            "differ, in addition, by what a unit in the last place of all of them changes at most. Eigenvectors count "
            "as what a model sees that respects signs and bases; `signs` "
            "marks an encoding that is no function of the graph. A pair (i, j) of "
            "nodes counts with its values, not with the types of its nodes.",
        ]
    over = f"Mean over {seeds} initialisation{'s' * (seeds > 1)} and, where they differ, the standard deviation. "
    test = (
        "A pair counts by BREC's test (RPC: Hotelling's T² over 32 renumberings of each graph and 16 outputs, above "
        "72.34), and only if the same test does not tell renumberings of one graph apart; in graph8c, where outputs "
        "differ by ten times what a renumbering changes and 8.5e-7 of their size. "
    )
    if epochs:
        return ["## Models, trained on each pair", "", f"At most {epochs} epochs, as BREC trains. {over}{test}"]
    return [
        "## Models with random weights",
        "",
        f"{over}{test}Double precision, evaluation mode; parameters that start at zero are drawn. BREC's published "
        "counts are of models that are trained on each pair, which may find more: these are what untrained ones show. "
        "`random` marks outputs that differ from call to call, which a set of all pairs is too large to test.",
    ]


def _markdown_table(results: Sequence[Result], kind: Kind) -> list[str]:
    pairs = {result.dataset: result.pairs for result in results}
    bounded = kind != "theory"
    lines = [
        f"| {kind if bounded else 'refinement'} | {'at most | ' * bounded}"
        + " | ".join(f"{name} ({count:,} pair{'s' * (count != 1)})" for name, count in pairs.items())
        + " |",
        "|---|" + "---|" * bounded + "---:|" * len(pairs),
    ]
    for cells in _rows(results).values():
        first = next(iter(cells.values()))
        named = [f"`{part}`" for part in (first.case.model, _shown_encodings(first.case)) if part]
        texts = [first.bound] * bounded + [_cell(cells.get(name)) for name in pairs]
        lines.append(f"| {' + '.join(named)} | {' | '.join(texts)} |")
    return lines


def _beyond(results: Sequence[Result]) -> list[str]:
    """What is told apart and should not be."""
    bounded = [result for result in results if result.bound]
    rows = len({(result.kind, result.label) for result in bounded})
    over = [result for result in bounded if result.beyond]
    if not over:
        return [f"In none of the {rows} rows with a bound is a pair told apart that the bound does not tell apart."]
    return [f"- `{each.label}`, {each.dataset}: {each.beyond} pairs that {each.bound} does not." for each in over]


def _shown_encodings(case: Case) -> str:
    if not case.model:
        return case.encodings
    if case.encodings == "none":
        return ""
    return case.encodings + ("" if case.encoder == Case("").encoder else f" by {case.encoder}")


def _cell(result: Result | None) -> str:
    if result is None:
        return ""
    if result.apart is None:
        return "random" if result.kind == "model" else "signs"
    apart, alarms = _plain(result.apart), _plain(result.alarms)
    if result.deviation:
        return f"{apart} ± {result.deviation:.1f}" + (f" !{alarms}" if result.alarms else "")
    alike = result.pairs - result.apart - result.alarms
    return apart + (f" ({_plain(alike)})" if alike else "") + (f" !{alarms}" if result.alarms else "")


def _latex_cell(result: Result | None, pairs: int) -> str:
    if result is None or result.apart is None:
        return "--"
    if result.pairs == pairs:
        return _plain(result.apart)
    return escaped(f"{100 * result.apart / result.pairs:.0f}%")


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if value == round(value) else f"{value:.3f}"


def _plain(value: float | None) -> str:
    """Whole numbers with commas, means with one digit behind the point."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


_EXACT = (
    "The same outputs, without BREC's test, which leaves out what is below 8.5e-7 of them: pairs that differ by more "
    "than ten times the largest change under a renumbering (at least 1e-15 of the outputs), the mean over "
    "initialisations. What is here and not above is seen, and so faintly that single precision loses it."
)
_BREC = (
    "The first 260 of BREC's 400 pairs (Wang & Zhang, ICML 2024): basic, regular (50 simple and 50 strongly regular "
    "pairs) and extension. Counts of these three parts compare with published ones; totals of 400 do not, which "
    "include 100 pairs of CFI graphs, 20 that satisfy the 4-vertex condition and 20 distance-regular ones, the last "
    "two counted as regular, too. Published counts of models are of weights trained on each pair (`--epochs`); of "
    "refinement: 1-WL tells nothing apart, 3-WL 270 of 400, of these parts 60, 50 and 100. "
    "All graphs are 1-WL equivalent in pairs."
)
