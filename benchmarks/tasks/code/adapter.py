"""The two ends of a model of code: syntax nodes in, five sub-tokens of a name out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Batch

from graphpe.benchmarks.tasks.code.decoding import (
    DECODINGS,
    DecodedNames,
    Decoding,
    argmax_names,
    expected_f1_names,
)
from graphpe.benchmarks.tasks.code.labels import POSITIONS, spoken
from graphpe.benchmarks.tasks.code.source.edges import RELATIONS, add_inverse_edges, relations
from graphpe.benchmarks.tasks.code.vocabulary import END, NONE, Vocabulary
from graphpe.benchmarks.tasks.task import TaskAdapter
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.models.layers.heads import SubtokenHead
from graphpe.models.layers.inputs import ASTNodeEncoder, CategoricalEdges, LinearEdges
from graphpe.transforms.base import Encoding

ATTRIBUTE_DROPOUT = 0.15
"""As Geisler et al. (2023) for ogbg-code2."""

MAX_DEPTH = 20
"""Deeper nodes share the embedding of this depth, as in OGB's baselines."""


@dataclass(frozen=True, eq=False)
class CodeAdapter(TaskAdapter):
    """Adapter for ogbg-code2 and everything in its format.

    Attributes:
        types: Node types; column 0 of `x`.
        attributes: Attributes; column 1 of `x`.
        tokens: Sub-tokens of names, `__UNK__` and `__EOS__` last; the classes.
        decoding: How class scores become words; see `graphpe.benchmarks.tasks.code.decoding`.
        dataflow: Whether the graphs are those of data flow, with types of edges instead of flags.
        words: How many sub-tokens of its attribute each node has in `node_words`; 0 for none.
        one_classifier: Whether the positions of a name share one classifier, behind a map of each.
    """

    types: Vocabulary
    attributes: Vocabulary
    tokens: Vocabulary
    decoding: Decoding = "expected-f1"
    dataflow: bool = False
    words: int = 0
    one_classifier: bool = False

    @property
    def keys(self) -> tuple[str, ...]:  # type: ignore[override]
        """What the model reads of the graphs."""
        return ("x", "node_depth", "edge_attr", *(["node_words"] if self.words else []))

    def check_inputs(self, graphs: PackedGraphs) -> tuple[PackedGraphs, dict[int, str]]:
        """Graphs of functions in this task's format.

        Raises:
            GraphPEValueError: They lack a value.
        """
        there = {**graphs.node, **graphs.edge}
        if missing := [key for key in self.keys if key not in there]:
            raise GraphPEValueError(f"the graphs have no {missing[0]}: give Python files, or graphs of this task")
        return graphs, {}

    def state(self) -> dict[str, Any]:
        """The three vocabularies as lists."""
        return {"types": self.types.words, "attributes": self.attributes.words, "tokens": self.tokens.words}

    @classmethod
    def from_state(
        cls, state: Mapping[str, Any], decoding: Decoding = "expected-f1", *, dataflow: bool = False
    ) -> CodeAdapter:
        """The adapter that `state` describes.

        Raises:
            GraphPEValueError: If it is not the state of such an adapter.
        """
        try:
            types, attributes, tokens = (Vocabulary(state[key]) for key in ("types", "attributes", "tokens"))
        except (KeyError, TypeError) as error:
            raise GraphPEValueError(
                f"expected the vocabularies 'types', 'attributes' and 'tokens' of a saved run, but {error} is wrong"
            ) from None
        if NONE not in attributes.index_of or tokens.words[-1] != END:
            raise GraphPEValueError(f"a saved vocabulary lacks {NONE} or {END}: it is damaged, or not one of code")
        return cls(types, attributes, tokens, decoding, dataflow)

    def model_graphs(self, graphs: PackedGraphs) -> PackedGraphs:
        """With the inverse of every edge: flagged in `edge_attr`, or a relation of its own."""
        graphs = add_inverse_edges(graphs)
        return relations(graphs) if self.dataflow else graphs

    def node_encoder(self, width: int) -> nn.Module:
        """Embeddings of type, attribute and depth, summed."""
        return ASTNodeEncoder(
            width,
            len(self.types),
            len(self.attributes),
            max_depth=MAX_DEPTH,
            unknown=self.attributes.unknown,
            attribute_dropout=ATTRIBUTE_DROPOUT,
            words=len(self.tokens) if self.words else 0,
            words_of_node=max(self.words, 1),
        )

    def edge_encoder(self, width: int) -> nn.Module:
        """A linear map of the two edge flags, or a vector for each relation and each inverse one."""
        return CategoricalEdges(width, 2 * RELATIONS) if self.dataflow else LinearEdges(2, width)

    def head(self, width: int) -> nn.Module:
        """Five classifiers over sub-tokens: `[B, 5, classes]`."""
        return SubtokenHead(width, classes=len(self.tokens), positions=POSITIONS, shared=self.one_classifier)

    def around(self, model: nn.Module, encodings: Sequence[Encoding]) -> nn.Module:
        """The model, whose one classifier has the vectors of the words that it reads, where it reads words.

        Args:
            model: The model.
            encodings: The encodings of the run.

        Raises:
            GraphPEValueError: One is of chosen pairs.
        """
        model = super().around(model, encodings)
        nodes, head = getattr(model, "node_encoder", None), getattr(model, "head", None)
        words = nodes.word_embedding if isinstance(nodes, ASTNodeEncoder) else None
        if self.one_classifier and words is not None and isinstance(head, SubtokenHead):
            head.tie(words)
        return model

    @property
    def has_classes(self) -> bool:
        """True: each sub-token is a class."""
        return True

    def loss(self, output: Tensor, batch: Batch, label_smoothing: float = 0.0) -> Tensor:
        """Mean of the five cross-entropies, in float32 whatever the precision of training."""
        logits, target = output.float().flatten(0, 1), batch.y.flatten()
        return functional.cross_entropy(logits, target, label_smoothing=label_smoothing)

    def predict(self, output: Tensor) -> Tensor:
        """The predicted classes, `[B, 5]` int64, filled up with `__EOS__`."""
        return self._names(output).classes

    def other_readings(self) -> dict[str, TaskAdapter]:
        """The other ways to decode names."""
        return {
            f"decoding={decoding!r}": replace(self, decoding=decoding)
            for decoding in DECODINGS
            if decoding != self.decoding
        }

    def columns(self, predictions: Tensor, graphs: PackedGraphs) -> dict[str, Sequence[Any]]:
        """`predicted`: the sub-tokens of the name, joined by spaces."""
        words = self.tokens.words
        names = [[words[row[position]] for position in spoken(row, self.tokens)] for row in predictions.tolist()]
        return {"predicted": [" ".join(name) for name in names]}

    def target_columns(self, graphs: PackedGraphs) -> dict[str, Sequence[Any]]:
        """`target`: all sub-tokens of the name, joined by spaces."""
        names = graphs.objects.get("name_tokens")
        return {} if names is None else {"target": [" ".join(name) for name in names]}

    def describe(self, output: Tensor, batch: Batch, graphs: PackedGraphs) -> dict[str, Sequence[Any]]:
        """`predicted`, and `probabilities`: a list with a number for each sub-token."""
        decoded = self.decode(output)
        return {
            "predicted": [" ".join(word for word, _ in name) for name in decoded],
            "probabilities": [[chance for _, chance in name] for name in decoded],
        }

    def decode(self, output: Tensor) -> list[list[tuple[str, float]]]:
        """The predicted name of each graph: its sub-tokens in order, each with its probability.

        These are the sub-tokens that the metric sees; a name may be empty.
        """
        classes, probabilities = self._names(output)
        words = self.tokens.words
        return [
            [(words[row[position]], chances[position]) for position in spoken(row, self.tokens)]
            for row, chances in zip(classes.tolist(), probabilities.tolist(), strict=True)
        ]

    def _names(self, output: Tensor) -> DecodedNames:
        return argmax_names(output) if self.decoding == "argmax" else expected_f1_names(output)
