"""From texts to what brings encodings of nodes into a model's node embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

import graphpe.models as models
import graphpe.transforms as transforms
from graphpe.benchmarks.calls.catalogue import ENCODER_SUPPLIED
from graphpe.benchmarks.calls.kinds import ENCODER, public_classes
from graphpe.benchmarks.calls.limits import bounded, check_memory, memory_errors
from graphpe.benchmarks.calls.own import known_classes
from graphpe.benchmarks.calls.text import bind, find_class
from graphpe.calls import Call, parameters_of, parse_call
from graphpe.models.encoders import EmbeddingEncoding, LinearEncoding
from graphpe.transforms.base import Encoding, SpectralEncoding

DEFAULT_ENCODER = "EigenvectorEncoding"


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


def without_encoder(encodings: Sequence[Encoding], encoder: str) -> list[str]:
    """Lines about an encoder that was asked for and that nothing in a model is made with.

    Args:
        encodings: Those the model was built for.
        encoder: What was asked for to read eigenvectors.
    """
    if parse_call(encoder).name == DEFAULT_ENCODER or any(isinstance(e, SpectralEncoding) for e in encodings):
        return []
    return [f"{encoder} has no part in it: it reads eigenvectors, and no encoding here has any"]


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
