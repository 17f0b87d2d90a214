"""From texts to what brings encodings of nodes into a model's node embeddings, or makes them there."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

import graphpe.models as models
import graphpe.transforms as transforms
from graphpe.benchmarks.calls.encoders import LEARNED, SUPPLIED_TO_ENCODERS
from graphpe.benchmarks.calls.kinds import ENCODER, public_classes, reads_of
from graphpe.benchmarks.calls.limits import bounded, check_memory, memory_errors
from graphpe.benchmarks.calls.own import known_classes, plain_name
from graphpe.benchmarks.calls.text import bind, find_class
from graphpe.benchmarks.tasks.task import TaskAdapter
from graphpe.calls import Call, parameters_of, parse_call
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.models.encoders import EmbeddingEncoding, LinearEncoding
from graphpe.structure.plan import Plan
from graphpe.transforms.base import Encoding, SpectralEncoding
from graphpe.transforms.values import Values

DEFAULT_ENCODER = "EigenvectorEncoding"
_OWN_READERS = (models.HopTokens, models.SpectralBasis, models.NodePositions)
_DEFAULTS: dict[str | None, str] = {"eigenvectors": DEFAULT_ENCODER, "tree paths": "TreePathEncoding"}
NO_PERTURBATION = "none"
PERTURB_SUPPLIED = ("encoder", "width")
"""Parameters of a `Perturbed` that come from the encoding and the architecture."""


def encoder_classes() -> Mapping[str, type]:
    """Every encoder of nodes' encodings, by name: `graphpe.benchmarks.calls.encoders` says what is one."""
    return known_classes("encoder", public_classes(models, ENCODER))


def canonical_encoder(text: str) -> str:
    """The text of an encoder, checked by building it once.

    Raises:
        GraphPEValueError: It cannot be built, or reads no encoding.
    """
    encoder = _Encoder.of(text)
    if encoder.reads == LEARNED:
        raise GraphPEValueError(f"{text} reads no encoding, it is one: name it among the encodings (--encodings)")
    encoding = _EXAMPLES[encoder.reads]
    check_memory(text, lambda: encoder.build(encoding, width=16))
    with memory_errors(text):
        encoder.build(encoding, width=16)
    return str(Call(encoder.constructor.__name__, (), encoder.literals))


def encoding_module(
    encoding: Encoding, width: int, encoder: str = DEFAULT_ENCODER, *, normalize: bool = False
) -> nn.Module:
    """The module that brings an encoding of nodes to a width.

    Args:
        encoding: The encoding.
        width: The width.
        encoder: The encoder of those encodings that it reads; others have that of their kind.
        normalize: Whether real values are normalised where no encoder is given for them.
    """
    reads, given = encoder_of(encoding), _Encoder.of(encoder)
    if given.reads == reads:
        return given.build(encoding, width)
    if reads in _DEFAULTS:
        return _Encoder.of(_DEFAULTS[reads]).build(encoding, width)
    if encoding.vocabulary is not None:
        return EmbeddingEncoding(encoding.value_key, encoding.columns, encoding.vocabulary, width)
    return LinearEncoding(encoding.value_key, encoding.columns, width, normalize=normalize)


def encoder_of(encoding: Encoding) -> str | None:
    """What an encoding of nodes is to encoders, of `SUPPLIED_TO_ENCODERS`; None for integers, which have a table."""
    if isinstance(encoding, SpectralEncoding):
        return "eigenvectors"
    if isinstance(encoding, transforms.TreePathPE):
        return "tree paths"
    return "real values" if encoding.vocabulary is None else None


_SUPPLIED = ("nodes", "width")


def supplied_to(constructor: type) -> tuple[str, ...]:
    """Parameters of an encoding that come from the task and the model: of what a model makes itself.

    Args:
        constructor: Its class.
    """
    return () if issubclass(constructor, Encoding) else _SUPPLIED


class Learned(Encoding):
    """An encoding of nodes without values: a module of a model that reads the graphs, or values that they have anyway.

    It stands among encodings that are computed, and computing it does nothing.

    Args:
        constructor: The class of the module: a `LearnedEncoding`, or an encoder whose text names a key of the graphs.
        literals: Its arguments, without those that are supplied.
    """

    def __init__(self, constructor: type, literals: dict[str, Any]) -> None:
        self.constructor = constructor
        known = {key: each.default for key, each in parameters_of(constructor).items()}
        given = {key: literals.get(key, default) for key, default in known.items() if key not in _SUPPLIED}
        self.literals = {key: value for key, value in given.items() if value is not inspect.Parameter.empty}
        self.attr_name = str(self.literals.get("key", constructor.__name__))  # what its module reads, or is

    @property
    def keys(self) -> list[str]:
        """None: it writes nothing."""
        return []

    @property
    def columns(self) -> int:
        raise GraphPERuntimeError(f"{self!r} has no columns: it is made by a model, at the model's width")

    def encode(self, plan: Plan) -> Values:
        return Values()

    @property
    def reads_features(self) -> bool:
        """Whether its module reads the features of nodes, `x`."""
        return self.attr_name == "x" or "nodes" in parameters_of(self.constructor)

    def build(self, adapter: TaskAdapter, width: int) -> nn.Module:
        """The module.

        Args:
            adapter: The task's, for the embedding of node features.
            width: The model's.
        """
        features = {"nodes": adapter.node_encoder(width)} if "nodes" in parameters_of(self.constructor) else {}
        return self.constructor(width=width, **features, **self.literals)

    def __repr__(self) -> str:
        return str(Call(self.constructor.__name__, (), self.literals))


def learned_class(name: str) -> type | None:
    """The class of an encoding that a model makes itself, or of an encoder; None if there is none of that name."""
    classes = encoder_classes()
    return find_class(name, classes, "encoder") if plain_name(name) in map(plain_name, classes) else None


def learned_encodings() -> dict[str, type]:
    """Graphpe's own classes of encodings that a model makes of the graphs themselves, by name."""
    return {name: each for name, each in public_classes(models, ENCODER).items() if reads_of(each) == LEARNED}


def learned_encoding(call: Call, constructor: type) -> Learned:
    """The encoding that a model makes itself of a call.

    Args:
        call: The parsed text.
        constructor: The class that it names, of `learned_class`.

    Raises:
        GraphPEValueError: An argument is missing or bad.
    """
    found = Learned(constructor, bounded(call.name, bind(call, constructor, without=supplied_to(constructor))))

    def build() -> nn.Module:
        supplied = {"nodes": nn.Identity()} if "nodes" in parameters_of(constructor) else {}
        return constructor(width=16, **supplied, **found.literals)

    check_memory(str(call), build)
    with memory_errors(str(call)):
        build()
    return found


def without_encoder(model: nn.Module, encodings: Sequence[Encoding], encoder: str) -> list[str]:
    """Lines about an encoder, or an argument of the model about encodings, that nothing in the model is made with.

    Args:
        model: The model.
        encodings: Those it was built for.
        encoder: What was asked for to read encodings of nodes.
    """
    lines = []
    modules = list(model.modules())
    reads = _Encoder.of(encoder).reads
    # Tokens, and what attention reads, have modules of their own.
    others = {getattr(module, "key", None) for module in modules if isinstance(module, _OWN_READERS)}
    of_nodes = [
        each for each in encodings if each.pairs is None and not each.pair_keys and not isinstance(each, Learned)
    ]
    read = {encoder_of(each) for each in of_nodes if each.value_key not in others}
    if parse_call(encoder).name != DEFAULT_ENCODER and reads not in read:
        lines.append(f"{encoder} has no part in it: it reads {reads} of nodes, and no encoding here has any")
    if any(getattr(each, "encodings_in", "first") != "first" and each.encoding_norms is None for each in modules):
        lines.append("encodings_in='every_layer' has no part in it: no encoding of nodes is added to its embeddings")
    return lines


@dataclass(frozen=True)
class _Encoder:
    """An encoder as its text says it.

    Attributes:
        constructor: The class.
        literals: Its arguments that the text gives.
        reads: What it reads, of `SUPPLIED_TO_ENCODERS`.
    """

    constructor: type
    literals: dict[str, Any]
    reads: str

    @classmethod
    def of(cls, text: str) -> _Encoder:
        """The encoder of a text.

        Raises:
            GraphPEValueError: There is none of that name, or an argument is none of its own.
        """
        call = parse_call(text)
        constructor = find_class(call.name, encoder_classes(), "encoder")
        reads = reads_of(constructor)
        assert reads is not None, "what `encoder_classes` holds reads something"
        literals = bounded(call.name, bind(call, constructor, without=SUPPLIED_TO_ENCODERS[reads]))
        return cls(constructor, literals, reads)

    def build(self, encoding: Encoding, width: int) -> nn.Module:
        """The encoder of an encoding that it reads."""
        potentials = getattr(encoding, "potentials", 1)
        known = parameters_of(self.constructor)
        supplied: dict[str, Any] = {
            "key": encoding.value_key,
            "k": encoding.columns // potentials if "potentials" in known else encoding.columns,
            "channels": encoding.columns,
            "width": width,
            "complex": isinstance(encoding, transforms.MagneticLaplacianPE),
            "potentials": potentials,
        }
        if isinstance(encoding, SpectralEncoding):
            supplied |= {"eigenvalues_key": encoding.eigenvalues_name, "mask_key": encoding.mask_name}
        if isinstance(encoding, transforms.TreePathPE):
            supplied |= {"max_depth": encoding.max_depth, "max_children": encoding.max_children}
        names = known.keys() & SUPPLIED_TO_ENCODERS[self.reads]
        return self.constructor(**{name: supplied[name] for name in names}, **self.literals)


_EXAMPLES: dict[str, Encoding] = {
    "eigenvectors": transforms.LaplacianPE(k=4),
    "real values": transforms.RandomWalkPE(walk_length=4),
    "tree paths": transforms.TreePathPE(max_depth=4),
}
"""An encoding of each kind, for which encoders are built to see whether they can be."""


def canonical_perturb(text: str) -> str:
    """The text of a perturbation, checked by building it once; `none` stays.

    Raises:
        GraphPEValueError: It is none, or has an argument that is not known or out of range.
    """
    if text == NO_PERTURBATION:
        return text
    literals = _perturb_literals(text)
    models.Perturbed(models.LinearEncoding("random_walk_pe", 1, 1), 1, **literals)
    return str(Call("Perturbed", (), literals))


def perturbed(module: nn.Module, encoding: Encoding, width: int, text: str) -> nn.Module:
    """The encoder of an encoding of nodes, and around it what training does to that.

    Args:
        module: The encoder.
        encoding: What it reads.
        width: Width of what it gives.
        text: The perturbation; `none` for the encoder as it is.

    Raises:
        GraphPEValueError: It is of another kind of encodings.
    """
    if text == NO_PERTURBATION:
        return module
    literals, vocabulary = _perturb_literals(text), encoding.vocabulary
    length = literals.get("randomized", 0)
    if literals.get("noise", 0) and vocabulary is not None:
        raise GraphPEValueError(f"{text} adds noise to numbers, and {encoding!r} gives whole ones: leave noise out")
    if length and not isinstance(module, EmbeddingEncoding):
        raise GraphPEValueError(
            f"{text} renumbers whole numbers in order, such as depths, and {encoding!r} gives others: leave randomized "
            "out (hops of pairs have PairBias(randomized=...))"
        )
    if length and isinstance(module, EmbeddingEncoding):
        module = EmbeddingEncoding(module.key, module.columns, max(module.vocabulary, length + 1), width)
    return models.Perturbed(module, width, **literals)


def not_perturbed(model: nn.Module, text: str) -> list[str]:
    """A line where a perturbation was asked for and the model has no encoding of nodes.

    Args:
        model: The model.
        text: The perturbation.
    """
    if text == NO_PERTURBATION or any(isinstance(module, models.Perturbed) for module in model.modules()):
        return []
    return [f"{text} has no part in it: it is for encodings that are added to node embeddings, and there is none"]


def _perturb_literals(text: str) -> dict[str, Any]:
    call = parse_call(text)
    return bind(call, find_class(call.name, {"Perturbed": models.Perturbed}, "perturbation"), without=PERTURB_SUPPLIED)
