"""The expressivity report as a table: Markdown or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from graphpe.benchmarks.expressivity.pairs import Verdict


def as_markdown(verdicts: Sequence[Verdict], command: str, *, rounds: int = 0) -> str:
    """One row an encoding, one column a set; pairs told apart, and those that are not.

    Args:
        verdicts: The verdicts.
        command: The command that made them.
        rounds: Rounds of message passing after the encoding.
    """
    alone = f"an encoding and {rounds} rounds of message passing" if rounds else "an encoding alone"
    sets = list(dict.fromkeys(verdict.dataset for verdict in verdicts))
    pairs = {verdict.dataset: verdict.pairs for verdict in verdicts}
    lines = [
        "# What encodings tell apart",
        "",
        f"Pairs of graphs that are not isomorphic, told apart by {alone}, before any training; in brackets "
        "the pairs that are not. Two graphs are told apart if they differ by more than ten times what a renumbering of "
        "the nodes changes. Eigenvectors count as what a model sees that respects signs and bases; `signs` marks an "
        "encoding that is no function of the graph. For graph8c and sr25 all pairs are compared, for EXP and CEXP each "
        "graph with its partner.",
        "",
        f"    {command}",
        "",
        "| encoding | " + " | ".join(f"{name} ({pairs[name]:,} pairs)" for name in sets) + " |",
        "|---|" + "---:|" * len(sets),
    ]
    for encoding in dict.fromkeys(verdict.encoding for verdict in verdicts):
        cells = {verdict.dataset: _cell(verdict) for verdict in verdicts if verdict.encoding == encoding}
        lines.append(f"| `{encoding}` | " + " | ".join(cells.get(name, "") for name in sets) + " |")
    return "\n".join(lines) + "\n"


def as_csv(verdicts: Sequence[Verdict]) -> str:
    """One line a verdict."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["encoding", "dataset", "pairs", "apart", "change", "nearest"])
    for each in verdicts:
        apart = "" if each.apart is None else each.apart
        writer.writerow([each.encoding, each.dataset, each.pairs, apart, f"{each.change:.3g}", f"{each.nearest:.3g}"])
    return out.getvalue()


def _cell(verdict: Verdict) -> str:
    if verdict.apart is None:
        return "signs"
    alike = verdict.pairs - verdict.apart
    return f"{verdict.apart:,}" + (f" ({alike:,})" if alike else "")
