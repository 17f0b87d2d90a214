"""What makes a class an encoding, an encoder, a part of attention, a model or a task; users' own are asked the same."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from torch import nn

from graphpe.benchmarks.calls.encoders import read_by
from graphpe.benchmarks.tasks.task import Task
from graphpe.calls import parameters_of
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.biases.pair_bias import PairBias
from graphpe.models.attention.positions.node_positions import NodePositions
from graphpe.models.attention.terms.pair_terms import PairTerms
from graphpe.models.encoders.learned.learned_encoding import LearnedEncoding
from graphpe.transforms.base import Encoding


@dataclass(frozen=True)
class Kind:
    """One kind of thing that texts name.

    Attributes:
        name: `encoding`, `encoder`, `bias`, `model` or `task`.
        fits: Whether a class is of it.
        asked: What such a class is, for those who write one.
    """

    name: str
    fits: Callable[[type], bool]
    asked: str


def _is_encoding(member: type) -> bool:
    return issubclass(member, Encoding) and not inspect.isabstract(member)


def reads_of(member: type) -> str | None:
    """What an encoder reads, as `read_by` says; None for what is no encoder.

    Args:
        member: A class.
    """
    if not issubclass(member, nn.Module) or inspect.isabstract(member) or _is_bias(member):
        return None  # what attention reads has the same parameters, and gives no embeddings
    parameters = {name: each.default is not each.empty for name, each in parameters_of(member).items()}
    return read_by(parameters, learned=issubclass(member, LearnedEncoding))


def _is_encoder(member: type) -> bool:
    return reads_of(member) is not None


def _is_bias(member: type) -> bool:
    return issubclass(member, PairBias | PairTerms | NodePositions) and not inspect.isabstract(member)


def _is_model(member: type) -> bool:
    return issubclass(member, nn.Module) and not inspect.isabstract(member) and "node_encoder" in parameters_of(member)


def _is_task(member: type) -> bool:
    return issubclass(member, Task) and not inspect.isabstract(member)


ENCODING = Kind("encoding", _is_encoding, "derives from graphpe.transforms.Encoding and defines encode")
ENCODER = Kind(
    "encoder",
    _is_encoder,
    "is an nn.Module whose constructor takes k and complex (to read eigenvectors), or needs key, channels and width "
    "alone (to read real values), or key, max_depth, max_children and width (to read tree paths); or derives from "
    "graphpe.models.LearnedEncoding and defines forward",
)
MODEL = Kind(
    "model",
    _is_model,
    "derives from graphpe.models.Architecture and defines forward (its constructor takes node_encoder)",
)
BIAS = Kind(
    "bias",
    _is_bias,
    "derives from graphpe.models.NodePositions and defines prepare and transform, or from graphpe.models.PairTerms and "
    "defines prepare and forward",
)
TASK = Kind("task", _is_task, "derives from graphpe.benchmarks.tasks.task.Task and defines load and adapter")
_TAKEN = ("edge_encoder", "encodings", "head")
_KEPT = ("width", "node_encoder", "encodings", "head")
KINDS = {kind.name: kind for kind in (ENCODING, ENCODER, BIAS, MODEL, TASK)}


def check_encoding(encoding: Encoding) -> None:
    """Check that an encoding has a name for its values.

    Raises:
        GraphPEValueError: It has none; graphpe's own always do.
    """
    if not isinstance(getattr(encoding, "attr_name", 0), str | None):
        raise GraphPEValueError(
            f"{type(encoding).__name__} has no attribute attr_name, the key of what it writes: add it"
        )


def check_architecture(model: nn.Module) -> None:
    """Check that a model, built without the two ends that tasks bring, has what runs ask of one.

    Raises:
        GraphPEValueError: It lacks something; graphpe's own never do.
    """
    parameters, name = parameters_of(type(model)), type(model).__name__
    problems = [f"its constructor takes no {each}" for each in _TAKEN if each not in parameters]
    problems += [f"it has no attribute {each}" for each in _KEPT if not hasattr(model, each)]
    if "pair_encodings" in parameters:
        needed = ["pair_input", "pair_diagonals"]
        needed += ["pair_encodings"] + ["heads"] * (getattr(model, "pair_input", "") == "biases")
        problems += [f"it has no attribute {each}" for each in needed if not hasattr(model, each)]
    if not problems and type(model).__repr__ is nn.Module.__repr__:
        problems = ["its repr is not the call that builds it"]
    if problems:
        raise GraphPEValueError(
            f"{name} cannot be trained as it is: {', '.join(problems)}; derive it from graphpe.models.Architecture, "
            "which has these, and pass them on"
        )


def public_classes(package: ModuleType, kind: Kind) -> dict[str, type]:
    """The classes of a kind that a package offers (in its `__all__`), by name, in alphabetical order."""
    members = ((name, getattr(package, name)) for name in sorted(package.__all__, key=str.lower))
    return {name: member for name, member in members if isinstance(member, type) and kind.fits(member)}
