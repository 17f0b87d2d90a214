"""From texts to what brings encodings into a model: encoders of nodes' encodings, and biases or features of pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

import graphpe.models as models
import graphpe.transforms as transforms
from graphpe.benchmarks.calls.catalogue import ENCODER_SUPPLIED
from graphpe.benchmarks.calls.kinds import ENCODER, public_classes
from graphpe.benchmarks.calls.own import known_classes
from graphpe.benchmarks.calls.text import bind, find_class
from graphpe.benchmarks.console.memory import first_line, memory_limit
from graphpe.calls import Call, parameters_of, parse_call
from graphpe.errors import GraphPEError, GraphPEValueError
from graphpe.models.encoders import EmbeddingEncoding, LinearEncoding, PairEmbedding, PairLinear
from graphpe.transforms.base import Encoding, SpectralEncoding

BIAS_SUPPLIED = ("key", "heads", "channels", "unreachable")
"""Parameters of a `PairBias` that come from the encoding and the architecture."""

MOST_LAYERS = 1024
"""Of a model or an encoder; each takes time to build, whatever its width."""

_BYTES_A_WEIGHT = 16  # float32: itself, its gradient, and two moments

DEFAULT_ENCODER = "EigenvectorEncoding"
AUTO_BIAS = "auto"


def encoder_classes() -> Mapping[str, type]:
    """Every encoder of eigenvectors, by name: the modules that are told whether vectors are complex."""
    return known_classes("encoder", public_classes(models, ENCODER))


def canonical_encoder(text: str) -> str:
    """The text of an encoder of eigenvectors, checked by building it once."""
    call = parse_call(text)
    constructor = find_class(call.name, encoder_classes(), "encoder")
    literals = bounded(call.name, bind(call, constructor, without=ENCODER_SUPPLIED))
    encoding = transforms.LaplacianPE(k=4)
    check_memory(text, lambda: _build_encoder(constructor, literals, encoding, width=16))
    with memory_errors(text):
        _build_encoder(constructor, literals, encoding, width=16)
    return str(Call(constructor.__name__, (), literals))


def canonical_bias(text: str) -> str:
    """The text of a bias of attention, checked by building it once; `auto` stays."""
    if text == AUTO_BIAS:
        return text
    arguments = _bias_literals(text)
    check_memory(text, lambda: models.PairBias("distance", 1, **arguments))
    with memory_errors(text):
        models.PairBias("distance", 1, **arguments)
    return str(Call("PairBias", (), arguments))


def encoding_module(
    encoding: Encoding, width: int, encoder: str = DEFAULT_ENCODER, *, normalize: bool = False
) -> nn.Module:
    """The module that brings an encoding of nodes to a width; `encoder` is for eigenvectors, `normalize` for others."""
    if isinstance(encoding, SpectralEncoding):
        call = parse_call(encoder)
        constructor = find_class(call.name, encoder_classes(), "encoder")
        return _build_encoder(constructor, bind(call, constructor, without=ENCODER_SUPPLIED), encoding, width)
    if encoding.vocabulary is not None:
        return EmbeddingEncoding(encoding.value_key, encoding.columns, encoding.vocabulary, width)
    return LinearEncoding(encoding.value_key, encoding.columns, width, normalize=normalize)


def pair_module(encoding: Encoding, architecture: Any, bias: str = AUTO_BIAS) -> nn.Module:
    """The module that brings an encoding of pairs into an architecture, as features of pairs or as a bias.

    Raises:
        GraphPEValueError: The encoding's numbers have no bound where a table of them is needed.
    """
    key, columns, vocabulary = encoding.value_key, encoding.columns, encoding.vocabulary
    if architecture.pair_input == "biases":
        return _pair_bias(encoding, architecture.heads, bias)
    node_width = architecture.width if architecture.pair_diagonals else None
    if vocabulary is not None:
        return PairEmbedding(key, columns, vocabulary, architecture.width, node_width)
    if isinstance(encoding, transforms.ShortestPathPE):
        raise GraphPEValueError(f"{encoding!r} has no largest distance: give max_distance, so that hops have a table")
    return PairLinear(key, columns, architecture.width, node_width)


def without_part(model: nn.Module, encodings: Sequence[Encoding], *, encoder: str, bias: str) -> list[str]:
    """Lines about an encoder or a bias that was asked for and that nothing in the model is made with.

    Args:
        model: The model.
        encodings: Those it was built for.
        encoder: What was asked for to read eigenvectors.
        bias: What was asked for to make biases of encodings of pairs.
    """
    lines = []
    if parse_call(encoder).name != DEFAULT_ENCODER and not any(isinstance(e, SpectralEncoding) for e in encodings):
        lines.append(f"{encoder} has no part in it: it reads eigenvectors, and no encoding here has any")
    if bias != AUTO_BIAS and not any(isinstance(module, models.PairBias) for module in model.modules()):
        lines.append(f"{bias} has no part in it: it is made of encodings of pairs, by models that take those as biases")
    return lines


def _build_encoder(constructor: type, literals: dict[str, Any], encoding: Encoding, width: int) -> nn.Module:
    assert isinstance(encoding, SpectralEncoding)
    known = parameters_of(constructor)
    potentials = getattr(encoding, "potentials", 1)
    supplied = {
        "key": encoding.value_key,
        "k": encoding.columns // potentials if "potentials" in known else encoding.columns,
        "width": width,
        "eigenvalues_key": encoding.eigenvalues_name,
        "mask_key": encoding.mask_name,
        "complex": isinstance(encoding, transforms.MagneticLaplacianPE),
        "potentials": potentials,
    }
    return constructor(**{name: value for name, value in supplied.items() if name in known}, **literals)


def _pair_bias(encoding: Encoding, heads: int, bias: str) -> nn.Module:
    arguments = _bias_literals(bias)
    vocabulary, columns = encoding.vocabulary, encoding.columns
    if bias == AUTO_BIAS:
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


def _bias_literals(text: str) -> dict[str, Any]:
    if text == AUTO_BIAS:
        return {}
    call = parse_call(text)
    constructor = find_class(call.name, {"PairBias": models.PairBias}, "bias")
    return bind(call, constructor, without=BIAS_SUPPLIED)


def bounded(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments whose numbers of layers can be built.

    Raises:
        GraphPEValueError: One of them is more than `MOST_LAYERS`.
    """
    for key, value in arguments.items():
        if key.endswith("layers") and isinstance(value, int) and value > MOST_LAYERS:
            raise GraphPEValueError(f"{name} cannot be built: {key} is {value}; it must be at most {MOST_LAYERS}")
    return arguments


def check_memory(text: str, build: Callable[[], nn.Module]) -> None:
    """Refuse a module before it takes memory: without values, its weights are only counted.

    Raises:
        GraphPEValueError: There is no memory for its weights, their gradients and two moments of those.
    """
    with memory_errors(text), torch.device("meta"):
        weights = sum(weight.numel() for weight in build().parameters())
    needed, limit = _BYTES_A_WEIGHT * weights, memory_limit()
    if limit is not None and needed > limit:
        raise GraphPEValueError(
            f"{text} cannot be built: training its {weights:,} parameters takes {needed / 1e9:,.1f} GB, and there are "
            f"{limit / 1e9:,.1f} GB of memory"
        )


@contextmanager
def memory_errors(model: str) -> Iterator[None]:
    """What torch raises for sizes that it cannot take, or has no memory for, as one line."""
    try:
        yield
    except GraphPEError:
        raise
    except (MemoryError, RuntimeError, OverflowError, TypeError) as error:  # torch's allocator raises RuntimeError
        raise GraphPEValueError(f"{model} cannot be built ({first_line(error)})") from None
