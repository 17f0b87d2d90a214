from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from graphpe.benchmarks.tasks.clrs import scores as clrs_scores
from graphpe.benchmarks.tasks.clrs.algorithms import ALGORITHMS, Probe
from graphpe.benchmarks.tasks.clrs.scores import (
    HIDDEN,
    Parts,
    Rows,
    decide,
    output_loss,
    output_score,
    part_widths,
    pointer_scores,
    split_parts,
    value_scores,
)
from graphpe.benchmarks.tasks.clrs.task import ClrsAdapter
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs

from .clrs_feedback import random_graphs

# One algorithm of each kind of output.
KINDS = [
    "bfs",
    "minimum",
    "topological_sort",
    "graham_scan",
    "bridges",
    "lcs_length",
    "optimal_bst",
    "segments_intersect",
]


@pytest.mark.parametrize("with_pairs", [False, True])
@pytest.mark.parametrize("algorithm", KINDS)
def test_scores_are_their_formulas(algorithm: str, with_pairs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clrs_scores, "_CHUNK_ROWS", 50)
    graphs = random_graphs(algorithm)
    rows, probes = Rows.of(graphs.to_batch()), ALGORITHMS[algorithm].outputs
    widths = np.array([part_widths(probe, with_pairs=with_pairs) for probe in probes]).sum(0)
    whole = Parts(
        torch.randn(graphs.num_nodes, widths[0]), torch.randn(graphs.num_pairs, widths[1]) if with_pairs else None
    )
    sign = torch.ones(HIDDEN) / 8
    sign[HIDDEN // 2 :] *= -1
    for probe, parts in zip(probes, split_parts(whole, probes), strict=True):
        expected = []
        for b in range(len(graphs)):
            z = parts.nodes[graphs.ptr[b] : graphs.ptr[b + 1]]
            n, c = len(z), probe.classes
            w = None if parts.pairs is None else parts.pairs[graphs.pair_ptr[b] : graphs.pair_ptr[b + 1]].view(n, n, -1)
            pairs = [(i, j) for i in range(n) for j in range(n)]
            if probe.place == "graph":
                expected.append((z.max(0).values * sign).sum()[None])
            elif probe.kind == "pointer" and probe.place == "edge":
                a, a2, bb, d = z.split([HIDDEN, HIDDEN, HIDDEN, 1], 1)
                for i, j in pairs:
                    hidden = a[i] + a2[j] + (0 if w is None else w[i, j])
                    expected.append((torch.relu(hidden + bb) * sign).sum(1) + d[:, 0])
            elif probe.kind == "pointer":
                for i in range(n):
                    if w is not None:
                        expected.append(w[i, :, 0])
                    else:
                        hidden = torch.relu(z[i, :HIDDEN] + z[:, HIDDEN : 2 * HIDDEN])
                        expected.append((hidden * sign).sum(1) + z[:, -1])
            elif probe.place == "edge":
                for i, j in pairs:
                    if w is not None:
                        expected.append(z[i, :c] + z[j, c:] + w[i, j])
                    else:
                        a, bb = z[i, : HIDDEN * c].view(c, HIDDEN), z[j, HIDDEN * c : 2 * HIDDEN * c].view(c, HIDDEN)
                        own = z[i, 2 * HIDDEN * c :][:c] + z[j, 2 * HIDDEN * c :][c:]
                        expected.append((torch.relu(a + bb) * sign).sum(1) + own)
            else:
                expected.append(z.flatten())
        if probe.kind == "pointer":
            choice = pointer_scores(probe, parts, rows)
            score = choice.score
            starts = np.cumsum([0, *(len(each) for each in expected)])[:-1]
            assert choice.first.tolist() == starts.tolist()
            assert choice.group.tolist() == [g for g, each in enumerate(expected) for _ in each]
        else:
            score = value_scores(probe, parts, rows).flatten()
        torch.testing.assert_close(score, torch.cat(expected))


def naive_loss_and_answers(probe: Probe, parts: Parts, target: torch.Tensor, graphs: PackedGraphs, rows: Rows) -> Any:
    """Loss and answers graph by graph, from scores."""
    losses, answers = [], []
    if probe.kind == "pointer":
        choice = pointer_scores(probe, parts, rows)
        for group, right in enumerate(target.long().tolist()):
            scores = choice.score[choice.group == group]
            losses.append(-scores.log_softmax(0)[right])
            answers.append(int(scores.argmax()))
        return torch.stack(losses).mean(), answers
    score = value_scores(probe, parts, rows)
    if probe.kind == "mask_one":
        for b in range(len(graphs)):
            part = slice(int(graphs.ptr[b]), int(graphs.ptr[b + 1]))
            losses.append(-(score[part, 0].log_softmax(0) * target[part]).sum())
            answers += np.eye(int(graphs.sizes[b]))[int(score[part, 0].argmax())].tolist()
        return torch.stack(losses).mean(), answers
    for line, right in zip(score, target.tolist(), strict=True):
        answers.append(int(line.argmax()) if probe.kind == "categorical" else float(line[0] > 0))
        if right < 0:
            continue
        if probe.kind == "categorical":
            losses.append(-line.log_softmax(0)[int(right)])
        else:
            losses.append(-torch.nn.functional.logsigmoid(line[0] if right else -line[0]))
    return torch.stack(losses).mean(), answers


@pytest.mark.parametrize("algorithm", KINDS)
def test_losses_and_answers_are_their_formulas(algorithm: str) -> None:
    graphs = random_graphs(algorithm)
    batch, adapter = graphs.to_batch(), ClrsAdapter(algorithm)
    rows, probes = Rows.of(batch), ALGORITHMS[algorithm].outputs
    widths = np.array([part_widths(probe, with_pairs=False) for probe in probes]).sum(0)
    output = Parts(3 * torch.randn(graphs.num_nodes, widths[0]))
    target = batch.y.clone()
    if probes[0].kind == "mask":
        target[::3] = -1  # what does not count
        batch.y = target
    total, answers = torch.zeros(()), []
    for k, (probe, parts) in enumerate(zip(probes, split_parts(output, probes), strict=True)):
        loss, guess = naive_loss_and_answers(probe, parts, target[:, k], graphs, rows)
        torch.testing.assert_close(output_loss(probe, parts, target[:, k], rows), loss)
        assert decide(probe, parts, rows).tolist() == guess
        total, answers = total + loss, [*answers, guess]
    torch.testing.assert_close(adapter.loss(output, batch), total)
    assert adapter.predict_batch(output, batch).T.tolist() == answers
    counts = adapter.prediction_rows(graphs)
    assert int(counts.sum()) == len(answers[0])
    # Predictions of single graphs are those of the batch.
    assert counts.tolist() == [len(adapter.predict_batch(*_only(output, graphs, b))) for b in range(len(graphs))]
    with pytest.raises(GraphPEValueError, match="give it readout='none'"):
        adapter.loss(Parts(output.nodes[:3]), batch)
    with pytest.raises(GraphPERuntimeError, match="predict_batch"):
        adapter.predict(output)


def _only(output: Parts, graphs: PackedGraphs, b: int) -> tuple[Parts, Any]:
    return Parts(output.nodes[graphs.ptr[b] : graphs.ptr[b + 1]]), graphs.select([b]).to_batch()


def test_equal_scores_choose_the_first() -> None:
    graphs = random_graphs("bfs")
    probe, rows = ALGORITHMS["bfs"].outputs[0], Rows.of(graphs.to_batch())
    assert decide(probe, Parts(torch.zeros(graphs.num_nodes, 0), torch.zeros(graphs.num_pairs, 1)), rows).sum() == 0
    huge = Parts(torch.zeros(graphs.num_nodes, 0), 1e6 * torch.randn(graphs.num_pairs, 1))
    assert torch.isfinite(output_loss(probe, huge, graphs.node["y"][:, 0], rows))


def test_metrics() -> None:
    mask = Probe("m", "node", "mask")
    target = torch.tensor([1.0, 1, 0, 0, 1, -1])
    assert output_score(mask, torch.tensor([1.0, 0, 1, 0, 1, 1]), target) == pytest.approx(2 / 3)  # P = R = 2/3
    assert output_score(mask, torch.zeros(6), target) == 0
    assert output_score(mask, torch.zeros(6), torch.zeros(6)) == 1
    assert output_score(mask, torch.ones(6), torch.zeros(6)) == 0
    one = Probe("o", "node", "mask_one")
    target = torch.tensor([0.0, 1, 0, 1, 0])  # two graphs
    assert output_score(one, torch.tensor([0.0, 1, 0, 0, 1]), target) == 0.5
    kind = Probe("c", "edge", "categorical", 3)
    assert output_score(kind, torch.tensor([0.0, 2, 1, 0]), torch.tensor([0.0, 1, 1, -1])) == pytest.approx(2 / 3)
    pointer = Probe("p", "node", "pointer")
    assert output_score(pointer, torch.tensor([0.0, 2, 1, 0]), torch.tensor([0.0, 2, 1, 3])) == 0.75
