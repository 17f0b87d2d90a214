"""From texts to objects: encodings, and a model whose two ends fit a task."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from torch import nn

import graphpe.benchmarks.tasks as tasks
import graphpe.models as models
import graphpe.transforms as transforms
from graphpe.benchmarks.calls.attention_parts import AUTO_BIAS, in_attention
from graphpe.benchmarks.calls.catalogue import SUPPLIED
from graphpe.benchmarks.calls.kinds import (
    ENCODING,
    MODEL,
    TASK,
    check_architecture,
    check_encoding,
    public_classes,
)
from graphpe.benchmarks.calls.limits import bounded, check_memory, memory_errors
from graphpe.benchmarks.calls.own import known_classes, own_classes
from graphpe.benchmarks.calls.parts import (
    DEFAULT_ENCODER,
    NO_PERTURBATION,
    Learned,
    encoding_module,
    learned_class,
    learned_encoding,
    learned_encodings,
    perturbed,
)
from graphpe.benchmarks.calls.text import PUBLISHED, bind, build, encoding_calls, find_class
from graphpe.benchmarks.pretraining.auxiliary import TwoHeads, WithEncodings
from graphpe.benchmarks.pretraining.task import Pretraining
from graphpe.benchmarks.tasks.links.model import LinkModel
from graphpe.benchmarks.tasks.task import Task, TaskAdapter
from graphpe.calls import Call, parameters_of, parse_call
from graphpe.errors import GraphPEError, GraphPERuntimeError, GraphPEValueError
from graphpe.transforms.base import Encoding

AUTO_HEAD = "auto"

ENCODING_TASKS: Mapping[str, type] = {each.__name__: each for each in (Pretraining, WithEncodings)}
"""Tasks about encodings of other tasks, beside which they cannot stand: they name them."""


def encoding_classes() -> Mapping[str, type]:
    """Every encoding, by name; the user's own among them, as in all of these (`graphpe.benchmarks.calls.own`)."""
    return known_classes("encoding", public_classes(transforms, ENCODING))


def task_classes() -> Mapping[str, type]:
    """Every task, by the name of its class."""
    return known_classes("task", {**public_classes(tasks, TASK), **ENCODING_TASKS})


def model_classes() -> Mapping[str, type]:
    """Every architecture, by name: the modules that take a `node_encoder`."""
    return known_classes("model", public_classes(models, MODEL))


def find_encoding(name: str) -> type:
    """The class of an encoding: one that is computed, or one that a model makes itself.

    Raises:
        GraphPEValueError: There is none; the message lists those there are.
    """
    return learned_class(name) or find_class(name, ChainMap(learned_encodings(), encoding_classes()), "encoding")  # type: ignore[arg-type]


def canonical_task(text: str, root: str | None = None) -> str:
    """A task's text with every parameter, and `root` among them."""
    call = parse_call(text)
    constructor = find_class(call.name, task_classes(), "task")
    arguments = bind(call, constructor)
    if root is not None:
        arguments["root"] = root
    return repr(constructor(**arguments).understood())


def build_task(text: str) -> Task:
    """A task from its text.

    Raises:
        GraphPEValueError: For an unknown one, or a bad argument.
    """
    return build(text, task_classes(), "task")


def is_task(text: str) -> bool:
    """Whether a text is the call of a task, rightly or not."""
    try:
        find_class(parse_call(text).name, task_classes(), "task")
    except GraphPEError:
        return False
    return True


def canonical_encodings(texts: Sequence[str]) -> tuple[str, ...]:
    """The texts of a model's encodings with every parameter.

    Raises:
        GraphPEValueError: As in `build_encodings`, or one writes into `x`, where models read a task's own features, or
            values of graphs alone, which they do not read.
    """
    encodings = build_encodings(texts)
    check_not_of_graphs(encodings)
    for encoding in encodings:
        if "x" in encoding.keys:
            raise GraphPEValueError(f"{encoding!r} writes into x, which holds the task's features: leave attr_name out")
    return tuple(repr(encoding) for encoding in encodings)


def check_not_of_graphs(encodings: Sequence[Encoding]) -> None:
    """Raise where an encoding is of whole graphs alone: models, and counts of what is told apart, read none of these.

    Args:
        encodings: The encodings.

    Raises:
        GraphPEValueError: One is.
    """
    for encoding in encodings:
        if encoding.graph_keys and not encoding.keys and not encoding.pair_keys:
            raise GraphPEValueError(
                f"{encoding!r} has values of graphs, which are not read here: take values of nodes or pairs (level=)"
            )


def canonical_model(text: str, task: Task | None = None) -> str:
    """A model's text with every parameter, the readout that a task needs, and vectors of pairs where it asks of them.

    Builds the model once without a task, so that a bad value shows at once.
    """
    constructor, arguments = _architecture(text)
    if task is not None and task.readout is not None:
        if "readout" not in parameters_of(constructor):
            raise GraphPEValueError(
                f"{task.name} asks for readout={task.readout!r}, and {constructor.__name__} has no argument readout"
            )
        arguments["readout"] = task.readout
    if task is not None and task.about_pairs and "pair_output" in parameters_of(constructor):
        arguments.setdefault("pair_output", True)
    return repr(_bare(text, constructor, arguments))


def build_encodings(texts: Sequence[str]) -> list[Encoding]:
    """Encodings from their texts, those among them that a model makes itself; none from the word "none".

    Raises:
        GraphPEValueError: For an unknown one, a bad argument, or two that write the same key.
    """
    calls = encoding_calls(texts)
    if calls is None:
        raise GraphPEValueError(f"{PUBLISHED!r} is for commands with a model: name the encodings")
    built = [_encoding(parse_call(text)) for text in calls]
    writers: dict[str, Encoding] = {}
    for encoding in built:
        check_encoding(encoding)
        for key in encoding.keys:
            if key in writers and encoding.attr_name is not None:
                raise GraphPEValueError(
                    f"{writers[key]!r} and {encoding!r} both write {key!r}; give one of them another attr_name"
                )
            writers[key] = encoding
    return built


def _encoding(call: Call) -> Encoding:
    constructor = find_encoding(call.name)
    if issubclass(constructor, Encoding):
        return constructor(**bind(call, constructor))
    return learned_encoding(call, constructor)


def stored_encodings(texts: Sequence[str]) -> list[Encoding]:
    """Encodings from their texts that have values without a model.

    Raises:
        GraphPEValueError: As in `build_encodings`, or a model makes one of them itself.
    """
    encodings = build_encodings(texts)
    for encoding in encodings:
        if isinstance(encoding, Learned):
            raise GraphPEValueError(
                f"{encoding!r} has no values without a model, which makes it: `graphpe train` takes it"
            )
    return encodings


def default_encodings(model: str, task: str) -> tuple[str, ...]:
    """What a run takes that names no encodings: what its model is published with, else what suits its task."""
    constructor, _ = _architecture(model)
    built = build_task(task)
    # What a model is published with may be what it is to predict.
    preferred = None if isinstance(built, Pretraining) else getattr(constructor, "default_encodings", None)
    suited = built.of if isinstance(built, WithEncodings) else built
    return preferred if preferred is not None else suited.default_encodings


def without_imposed(model: str, task: str) -> str:
    """A model's text without the arguments that a task leaves no choice of: it is to be of another one.

    Args:
        model: The model's text, as `canonical_model` gives it for the task.
        task: The task's.
    """
    call, of = parse_call(model), build_task(task)
    imposed = {"readout"} if of.readout is not None else set()
    imposed |= {"pair_output"} if of.about_pairs else set()
    return str(Call(call.name, call.args, {name: value for name, value in call.kwargs.items() if name not in imposed}))


def build_model(
    text: str,
    adapter: TaskAdapter,
    encodings: Sequence[Encoding],
    *,
    encoder: str = DEFAULT_ENCODER,
    bias: str = AUTO_BIAS,
    perturb: str = NO_PERTURBATION,
    rewire: int = 0,
    encoding_width: int = 0,
    head: str = AUTO_HEAD,
) -> nn.Module:
    """A model for a task: its adapter and the encoders of its encodings, around the architecture the text names.

    Args:
        text: The architecture.
        adapter: The task's.
        encodings: Encodings of nodes and of pairs.
        encoder: What brings encodings of nodes to the model's width, of those that it reads.
        bias: What encodings become in attention (`graphpe.benchmarks.calls.attention_parts`); `auto`: a bias by the
            kind of encoding of those of pairs, where the architecture takes biases.
        perturb: What training does to encodings of nodes.
        rewire: Whether edges are added to graphs at random, above 0, and have embeddings of their own.
        encoding_width: 0: encodings of nodes are added to their embedding; otherwise they are mapped to so many columns
            and concatenated to it.
        head: The last layers; `auto` for the task's own.

    Raises:
        GraphPEValueError: For an unknown name, a bad argument, an encoding that the architecture does not take, or more
            parameters than there is memory for.
    """
    constructor, arguments = _architecture(text)
    bare = _bare(text, constructor, arguments)
    nodes, pairs = _read(encodings)
    if pairs:
        if not takes_pairs(constructor):
            takers = ", ".join(name for name, member in model_classes().items() if takes_pairs(member))
            raise GraphPEValueError(
                f"{constructor.__name__} takes no encoding of pairs such as {pairs[0]!r}: choose {takers}, or an "
                "encoding of nodes"
            )
    inside = in_attention([each for each in nodes if not isinstance(each, Learned)], pairs, bare, bias)
    nodes = [each for each in nodes if isinstance(each, Learned) or each in inside.nodes]
    basis = _basis_among(nodes, bare)
    arguments |= {name: made for name in ("pair_encodings", "positions") if (made := getattr(inside, name))}
    pair_head = adapter.pair_head(bare.width) if getattr(bare, "pair_output", False) else None
    with memory_errors(text):
        if encoding_width and nodes:
            if any(_are_tokens(encoding, bare) for encoding in nodes):
                raise GraphPEValueError(
                    "NAGphormer reads hop features as tokens, and encoding_width would join them to its inputs: "
                    "leave it 0"
                )
            if basis is not None:
                raise GraphPEValueError(
                    "Specformer filters along eigenvectors, and encoding_width would join them to its inputs: leave "
                    "it 0"
                )
            node_encoder: nn.Module = _concatenated(adapter, nodes, bare.width, encoding_width, encoder, perturb)
            modules = []
        else:
            node_encoder = adapter.node_encoder(bare.width)
            modules = [
                _basis_module(encoding, perturb)
                if encoding is basis
                else _node_module(encoding, adapter, bare, encoder, perturb)
                for encoding in nodes
            ]
        edges = adapter.edge_encoder(bare.width)
        model = constructor(
            **arguments,
            node_encoder=node_encoder,
            edge_encoder=models.RewiredEdges(bare.width, edges) if rewire else edges,
            encodings=modules,
            head=_head(head, adapter, bare.width) if pair_head is None else pair_head,
        )
        return adapter.around(model, encodings)


def check_built(model: nn.Module, text: str, encodings: Sequence[Encoding]) -> None:
    """Check that a model is the one its text names, and reads the encodings that it was built for.

    Raises:
        GraphPERuntimeError: It is not: a mistake in this library, never in the user's input.
    """
    constructor, arguments = _architecture(text)
    model = model.model if isinstance(model, LinkModel | TwoHeads) else model
    wrong = [name for name, value in arguments.items() if name != "layers" and _stored(model, name, value) != value]
    if type(model) is not constructor or wrong:
        raise GraphPERuntimeError(f"{text} was asked for, but {model!r} was built (differs in {wrong})")
    layers = getattr(model, "layers", None)
    if "layers" in arguments and isinstance(layers, nn.ModuleList) and len(layers) != arguments["layers"]:
        raise GraphPERuntimeError(f"{text} was asked for, but it has {len(layers)} layers")
    reach = {"full": True, "sparse": False}.get(arguments.get("attention", ""))
    if reach is not None and getattr(model, "attends_to_all_pairs", reach) != reach:
        raise GraphPERuntimeError(f"{text} was asked for, but attention runs over {model.attention_layout}")
    first = model.node_encoder
    inputs = first.encodings if isinstance(first, models.ConcatenatedNodes) else model.encodings
    inside = [getattr(model, option, []) for option in ("pair_encodings", "positions")]
    read = {getattr(module, "key", type(module).__name__) for module in inputs}  # type: ignore[union-attr]
    read |= {module.key for given in inside for module in given if hasattr(module, "key")}
    asked = {encoding.value_key for group in _read(encodings) for encoding in group}
    if read != asked:
        raise GraphPERuntimeError(f"encodings {asked} were asked for, but the model reads {read}")


def _stored(model: nn.Module, name: str, value: Any) -> Any:
    """What a model has under an argument's name: of layers their number; the value itself where it keeps nothing."""
    stored = getattr(model, name, value)
    return len(stored) if isinstance(stored, nn.ModuleList) else stored


def split_encodings(encodings: Sequence[Encoding]) -> tuple[list[Encoding], list[Encoding]]:
    """Encodings of nodes, which are computed once, and of all pairs, which are computed for each batch."""
    of_all = [each for each in encodings if each.pairs is None and not isinstance(each, Learned)]
    return [each for each in of_all if not each.pair_keys], [each for each in of_all if each.pair_keys]


def _read(encodings: Sequence[Encoding]) -> tuple[list[Encoding], list[Encoding]]:
    """What a model has modules for: encodings of nodes, those that it makes itself among them, and of all pairs."""
    of_all = [each for each in encodings if each.pairs is None]
    return [each for each in of_all if not each.pair_keys], [each for each in of_all if each.pair_keys]


def takes_pairs(architecture: type) -> bool:
    """Whether an architecture takes encodings of pairs."""
    return "pair_encodings" in parameters_of(architecture)


def _concatenated(
    adapter: TaskAdapter, encodings: Sequence[Encoding], width: int, encoding_width: int, encoder: str, perturb: str
) -> nn.Module:
    left = width - encoding_width * len(encodings)
    if left < 1:
        raise GraphPEValueError(
            f"{len(encodings)} encodings of encoding_width={encoding_width} leave nothing of a width of {width}: give "
            "less"
        )
    modules = [
        each.build(adapter, encoding_width)
        if isinstance(each, Learned)
        else perturbed(encoding_module(each, encoding_width, encoder, normalize=True), each, encoding_width, perturb)
        for each in encodings
    ]
    return models.ConcatenatedNodes(adapter.node_encoder(left), modules)


def _node_module(encoding: Encoding, adapter: TaskAdapter, architecture: Any, encoder: str, perturb: str) -> nn.Module:
    if isinstance(encoding, Learned):
        return encoding.build(adapter, architecture.width)
    if _are_tokens(encoding, architecture):
        if perturb != NO_PERTURBATION:
            raise GraphPEValueError(
                f"{perturb} is for encodings that are added to nodes, not for hop features as tokens"
            )
        channels, hops = encoding.columns // (encoding.hops + 1), encoding.hops
        return models.HopTokens(encoding.value_key, hops=hops, channels=channels, width=architecture.width)
    module = encoding_module(encoding, architecture.width, encoder)
    return perturbed(module, encoding, architecture.width, perturb)


def _are_tokens(encoding: Encoding, architecture: Any) -> TypeGuard[transforms.HopFeatures]:
    """Whether an architecture reads an encoding as a sequence for each node."""
    return isinstance(encoding, transforms.HopFeatures) and isinstance(architecture, models.NAGphormer)


def _basis_among(encodings: Sequence[Encoding], architecture: Any) -> transforms.SpectralEncoding | None:
    """The encoding along which an architecture filters, the first of eigenvectors; None if it is none that filters."""
    if not isinstance(architecture, models.Specformer):
        return None
    for encoding in encodings:
        if isinstance(encoding, transforms.SpectralEncoding):
            return encoding
    usual = models.Specformer.default_encodings[0]
    raise GraphPEValueError(f"Specformer filters along eigenvectors, and no encoding here has any: add {usual}")


def _basis_module(encoding: transforms.SpectralEncoding, perturb: str) -> nn.Module:
    if perturb != NO_PERTURBATION:
        raise GraphPEValueError(f"{perturb} is for encodings that are added to nodes, not for a basis of filters")
    potentials = getattr(encoding, "potentials", 1)
    return models.SpectralBasis(
        encoding.value_key,
        encoding.columns // potentials,
        eigenvalues_key=encoding.eigenvalues_name,
        mask_key=encoding.mask_name,
        complex=isinstance(encoding, transforms.MagneticLaplacianPE),
        potentials=potentials,
    )


def canonical_head(text: str) -> str:
    """The text of a head, checked."""
    if text != AUTO_HEAD:
        _head_literals(text)
    return text


def _head(text: str, adapter: TaskAdapter, width: int) -> nn.Module:
    """The last layers: the task's own, or those of a text.

    Raises:
        GraphPEValueError: The task has a head of another kind.
    """
    own = adapter.head(width)
    if text == AUTO_HEAD:
        return own
    if not isinstance(own, models.MLPReadout):
        raise GraphPEValueError(f"this task's head is {type(own).__name__}, not MLPReadout: leave head='auto'")
    return models.MLPReadout(width, own.out.out_features, **_head_literals(text))


def _head_literals(text: str) -> dict[str, Any]:
    call = parse_call(text)
    return bind(call, find_class(call.name, {"MLPReadout": models.MLPReadout}, "head"), without=("width", "out"))


def _architecture(text: str) -> tuple[type, dict[str, Any]]:
    call = parse_call(text)
    constructor = find_class(call.name, model_classes(), "model")
    return constructor, bounded(call.name, bind(call, constructor, without=SUPPLIED))


def _bare(text: str, constructor: type, arguments: dict[str, Any]) -> Any:
    """An architecture without its two ends."""
    if (
        constructor not in own_classes("model").values()
    ):  # own constructors may need values, which are not there on meta
        check_memory(text, lambda: constructor(**arguments, node_encoder=nn.Identity()))
    with memory_errors(text):
        bare = constructor(**arguments, node_encoder=nn.Identity())
    check_architecture(bare)
    return bare
