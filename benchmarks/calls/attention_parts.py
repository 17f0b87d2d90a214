"""From texts to what encodings become in attention: biases, terms and features of pairs, and positions at nodes.

A text is one call or several joined by " + ", each of a public class of one of three kinds:

* `PairBias`, and `PairTerms` with a `key`, made of values of pairs: one for each encoding of pairs;
* `PairBias(..., factored=True)`, and positions with a `key`: one for each encoding of nodes, which then is not added to
  the nodes (with `key='...'` in the text: of that encoding alone);
* positions and terms without a key, which read the graph itself: one.

Encodings of pairs that no part names have the bias that suits them: `auto` alone, or beside others, says that in words.
`none` is no part at all, also for encodings of pairs, which then cannot reach a model of biases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import nn

import graphpe.models as models
import graphpe.transforms as transforms
from graphpe.benchmarks.calls.catalogue import BIAS_SUPPLIED
from graphpe.benchmarks.calls.kinds import BIAS, public_classes
from graphpe.benchmarks.calls.limits import bounded, check_memory, memory_errors
from graphpe.benchmarks.calls.own import known_classes
from graphpe.benchmarks.calls.text import bind, find_class
from graphpe.calls import Call, parameters_of, parse_call
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.positions.node_positions import NodePositions
from graphpe.models.attention.terms.pair_terms import PairTerms
from graphpe.models.encoders import PairEmbedding, PairLinear
from graphpe.transforms.base import Encoding

AUTO_BIAS = "auto"
NO_BIAS = "none"
_WIDEST_BLOCK = 256


@dataclass(frozen=True, eq=False)
class InAttention:
    """What brings encodings into an architecture's attention.

    Attributes:
        pair_encodings: Modules for the argument of that name.
        positions: Modules for the argument of that name.
        nodes: Encodings of nodes that are in neither, and so are added to the nodes.
    """

    pair_encodings: list[nn.Module] = field(default_factory=list)
    positions: list[nn.Module] = field(default_factory=list)
    nodes: list[Encoding] = field(default_factory=list)


def bias_classes() -> Mapping[str, type]:
    """Every class that a text of what encodings become in attention may name, by name."""
    return known_classes("bias", public_classes(models, BIAS))


def canonical_bias(text: str) -> str:
    """The text of what encodings become in attention, checked by building it once; `auto` and `none` stay."""
    if text in (AUTO_BIAS, NO_BIAS):
        return text
    calls = []
    for part, constructor, literals in _parts(text):
        block = literals.get("block", 1)  # which divides the width of a head
        width = 32 * block if isinstance(block, int) and 0 < block <= _WIDEST_BLOCK else 32
        build = partial(_build, constructor, literals, "encoding", 1, 1, width)
        check_memory(part, build)
        with memory_errors(part):
            build()
        calls.append(str(Call(constructor.__name__, (), literals)))
    return " + ".join(calls)


def in_attention(
    nodes: Sequence[Encoding], pairs: Sequence[Encoding], architecture: Any, text: str = AUTO_BIAS
) -> InAttention:
    """What encodings become in an architecture's attention.

    Args:
        nodes: Encodings of nodes.
        pairs: Encodings of pairs.
        architecture: The architecture, without its ends.
        text: What they become; `auto` for a choice by the kind of encoding, `none` for nothing.

    Raises:
        GraphPEValueError: The architecture takes no such thing, an encoding's numbers have no bound where a table of
            them is needed, or an encoding of pairs has no way into the architecture.
    """
    parts = _parts(text)
    found, taken = InAttention(), set()
    biases = getattr(architecture, "pair_input", "") == "biases"
    if biases and pairs and text == NO_BIAS:
        raise GraphPEValueError(
            f"bias is 'none', but {type(architecture).__name__} reads {pairs[0]!r} as a bias of its attention: leave "
            "the encoding out, or the option, which makes the bias that suits it"
        )
    of_pairs = [
        (made, given) for _, made, given in parts if "key" in parameters_of(made) and not _reads_nodes(made, given)
    ]
    for encoding in pairs:
        if not biases:
            found.pair_encodings.append(_feature(encoding, architecture))
        else:
            asked = [each for each in of_pairs if each[1].get("key", encoding.value_key) == encoding.value_key]
            modules = [_of(constructor, literals, encoding, architecture) for constructor, literals in asked]
            found.pair_encodings.extend(modules or [_usual_bias(encoding, architecture.heads)])
    for _, constructor, literals in parts:
        if "key" not in parameters_of(constructor):
            _check_taken(constructor, architecture)
            made = _build(constructor, literals, "", 0, architecture.heads, architecture.width)
            _put(found, made)
        elif _reads_nodes(constructor, literals):
            for encoding in nodes:
                if literals.get("key", encoding.value_key) == encoding.value_key:
                    _check_taken(constructor, architecture)
                    _put(found, _of(constructor, literals, encoding, architecture))
                    taken.add(encoding.value_key)
    found.nodes.extend(encoding for encoding in nodes if encoding.value_key not in taken)
    return found


def _is_asked(module: nn.Module, made: type, given: Mapping[str, Any]) -> bool:
    """Whether a module is of what was asked for: also a factored bias is a `PairBias`, and no usual one."""
    return isinstance(module, made) and getattr(module, "factored", False) == given.get("factored", False)


def without_bias(model: nn.Module, text: str) -> list[str]:
    """Lines about parts of a text that nothing in a model is made with.

    Args:
        model: The model.
        text: What encodings become in attention.
    """
    return [
        f"{part} has no part in it: it is made of encodings of {'nodes' if _reads_nodes(made, given) else 'pairs'}"
        f"{_named(given)}, by models that take those in attention"
        for part, made, given in _parts(text)
        if not any(_is_asked(module, made, given) for module in model.modules())
    ]


def _parts(text: str) -> list[tuple[str, type, dict[str, Any]]]:
    """Each call of a text, its class and its arguments; `auto` and `none` are none."""
    found = []
    asked = [part for part in text.split(" + ") if part.strip() != AUTO_BIAS] if text != NO_BIAS else []
    for part in asked:
        if part.strip() == NO_BIAS:
            raise GraphPEValueError(f"bias is {text!r}: {NO_BIAS!r} stands alone, without the others")
        call = parse_call(part)
        constructor = find_class(call.name, bias_classes(), "bias")
        key = {name: value for name, value in call.kwargs.items() if name == "key"}
        if key and ("key" not in parameters_of(constructor) or not isinstance(key["key"], str)):
            raise GraphPEValueError(f"{call}: key is the name of an encoding in the data, where {call.name} reads one")
        rest = Call(call.name, call.args, {name: value for name, value in call.kwargs.items() if name != "key"})
        literals = bounded(call.name, bind(rest, constructor, without=("key", *BIAS_SUPPLIED)))
        found.append((part.strip(), constructor, {**literals, **key}))
    return found


def _named(literals: Mapping[str, Any]) -> str:
    return f" that are called {literals['key']!r}, the attr_name of a transform" if "key" in literals else ""


def _reads_nodes(constructor: type, literals: Mapping[str, Any]) -> bool:
    return issubclass(constructor, NodePositions) or bool(literals.get("factored", False))


def _of(constructor: type, literals: dict[str, Any], encoding: Encoding, architecture: Any) -> nn.Module:
    known: dict[str, Any] = {}
    if issubclass(constructor, PairTerms) and encoding.columns > 1 and "channels" not in parameters_of(constructor):
        raise GraphPEValueError(
            f"{constructor.__name__} reads one number of each pair, and {encoding!r} gives {encoding.columns}: take a "
            "distance such as ShortestPathPE, and name it with key= beside others"
        )
    if issubclass(constructor, PairTerms):  # which of the values mean a path: masks and relations depend on that
        if isinstance(encoding, transforms.ReachabilityPE):
            known["least"] = 1.0
        elif isinstance(encoding, transforms.ShortestPathPE | transforms.TreeDistancePE) and encoding.vocabulary:
            known["unreachable"] = float(encoding.vocabulary - 1)
    literals = {name: value for name, value in known.items() if name in parameters_of(constructor)} | literals
    return _build(constructor, literals, encoding.value_key, encoding.columns, architecture.heads, architecture.width)


def _build(constructor: type, literals: dict[str, Any], key: str, columns: int, heads: int, width: int) -> nn.Module:
    supplied = {"key": key, "channels": columns, "coordinates": columns, "heads": heads, "width": width}
    known = parameters_of(constructor)
    return constructor(**{**{name: value for name, value in supplied.items() if name in known}, **literals})


def _put(found: InAttention, module: nn.Module) -> None:
    """A module where an architecture takes it."""
    (found.positions if isinstance(module, NodePositions) else found.pair_encodings).append(module)


def _check_taken(constructor: type, architecture: Any) -> None:
    """Raise unless an architecture takes such a part, before one is built for its width."""
    positions = issubclass(constructor, NodePositions)
    option = "positions" if positions else "pair_encodings"
    if option not in parameters_of(type(architecture)) or not (positions or architecture.pair_input == "biases"):
        more = ", Graphormer, GraphTransformer or TopologicalTransformer" if positions else " or Graphormer"
        raise GraphPEValueError(
            f"{type(architecture).__name__} takes no {constructor.__name__} in its attention: choose GPS, SAT{more}"
        )


def _feature(encoding: Encoding, architecture: Any) -> nn.Module:
    """The module that brings an encoding of pairs into an architecture with features of pairs."""
    key, columns, vocabulary = encoding.value_key, encoding.columns, encoding.vocabulary
    node_width = architecture.width if architecture.pair_diagonals else None
    if vocabulary is not None:
        return PairEmbedding(key, columns, vocabulary, architecture.width, node_width)
    if isinstance(encoding, transforms.ShortestPathPE):
        raise GraphPEValueError(f"{encoding!r} has no largest distance: give max_distance, so that hops have a table")
    return getattr(architecture, "pair_module", PairLinear)(key, columns, architecture.width, node_width)


def _usual_bias(encoding: Encoding, heads: int) -> nn.Module:
    """The bias that suits an encoding of pairs."""
    vocabulary, columns = encoding.vocabulary, encoding.columns
    arguments: dict[str, Any]
    if isinstance(encoding, transforms.EdgePathPE):
        arguments = {"head": "path"}
    elif columns > 1:
        arguments = {"head": "mlp"}
    elif vocabulary is not None:
        arguments = {"head": "table", "size": vocabulary}
    else:
        arguments = {"head": "table" if isinstance(encoding, transforms.ShortestPathPE) else "gaussian"}
    # The last hop of a bounded distance stands for "further, or no path": a distance like any other to a table.
    return models.PairBias(encoding.value_key, heads, channels=columns, **arguments)
