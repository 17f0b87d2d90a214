"""Graphs of code with labels, a split and OGB's metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from graphpe.benchmarks.tasks.code.adapter import CodeAdapter
from graphpe.benchmarks.tasks.code.baseline import best_constant
from graphpe.benchmarks.tasks.code.labels import POSITIONS, decode_names, encode_names
from graphpe.benchmarks.tasks.code.vocabulary import Vocabulary
from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.task import TaskData
from graphpe.errors import GraphPEValueError
from graphpe.files.ogb import evaluator
from graphpe.graphs.packed import PackedGraphs
from graphpe.storage.store import Store


@dataclass
class CodeData(TaskData):
    """Functions and the sub-tokens of their names.

    `graphs` holds `x`, `node_depth`, `node_is_attributed`, `node_dfs_order`, `edge_attr` and `y [B, 5]`; and as
    Python values `name_tokens` (all sub-tokens of the name, the reference of the metric), `name` and `where` (file
    and line).
    """

    metric: ClassVar[str] = "F1"

    def answers(self, indices: Tensor) -> PackedGraphs:
        """Some functions with their names, without edges."""
        return self.graphs.only_values(("y",)).select(indices)

    def evaluate(self, predictions: Tensor, indices: Tensor) -> float:
        """OGB's F1: of the sets of sub-tokens, averaged over graphs.

        Args:
            predictions: Classes, `[len(indices), 5]`.
            indices: The graphs they were predicted for.

        Raises:
            GraphPEValueError: If there is not one row for each graph.
        """
        if predictions.shape != (len(indices), POSITIONS):
            raise GraphPEValueError(
                f"predictions must be [{len(indices)}, {POSITIONS}], one row a graph, got {list(predictions.shape)}"
            )
        assert isinstance(self.adapter, CodeAdapter)
        return self._score(decode_names(predictions, self.adapter.tokens), indices)

    def constant_baseline(self, indices: Tensor) -> tuple[float, str]:
        """F1 of the best constant prediction, chosen on the training part, and its sub-tokens."""
        constant = best_constant(self._references(self.split["train"]), POSITIONS)
        return self._score([constant] * len(indices), indices), " ".join(constant)

    def _references(self, indices: Tensor) -> list[list[str]]:
        names = self.graphs.objects["name_tokens"]
        return [names[index] for index in indices.tolist()]

    def _score(self, predicted: list[list[str]], indices: Tensor) -> float:
        if not predicted:
            raise GraphPEValueError("F1 of no graph at all is not defined: give at least one index")
        result = evaluator("ogbg-code2").eval({"seq_ref": self._references(indices), "seq_pred": predicted})
        return float(result["F1"])


def label_graphs(
    graphs: PackedGraphs,
    tokens: Vocabulary,
    *,
    name_tokens: Sequence[list[str]],
    names: Sequence[str],
    where: Sequence[str],
) -> PackedGraphs:
    """Graphs of functions as a task's graphs: with labels and names.

    Args:
        graphs: The graphs, with their edges.
        tokens: The classes.
        name_tokens: Sub-tokens of each function's name.
        names: Each function's name.
        where: Where each function stands.
    """
    labelled = graphs.with_values(graph={"y": encode_names(name_tokens, tokens)})
    objects = {"name_tokens": list(name_tokens), "name": list(names), "where": list(where)}
    return PackedGraphs.trusted(**vars(labelled) | {"objects": objects})


def code_fingerprint(graphs: PackedGraphs, split: dict[str, Tensor], store: Store | None = None) -> str:
    """A digest of the graphs, the split and the names."""
    return fingerprint(graphs, split, [" ".join(name) for name in graphs.objects["name_tokens"]], store=store)
