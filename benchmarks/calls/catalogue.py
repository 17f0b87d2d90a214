"""What encodings, encoders, models and tasks there are, read from their source: a list of names imports no torch."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import graphpe
from graphpe.benchmarks.calls.encoders import SUPPLIED_TO_ENCODERS, read_by
from graphpe.benchmarks.calls.own import check_new, installed, load_installed, own_classes
from graphpe.benchmarks.calls.recipes import read_recipe, recipe_names
from graphpe.calls import parameters_of
from graphpe.lazy import stub_imports

SUPPLIED = ("node_encoder", "edge_encoder", "encodings", "pair_encodings", "positions", "head")
"""Parameters of an architecture that come from the task and its encodings, never from a text."""

BIAS_SUPPLIED = ("heads", "width", "channels", "coordinates", "unreachable")
"""Parameters of what encodings become in attention that come from the encoding and the architecture, as `key` does
where a text does not say it."""


@dataclass(frozen=True)
class Entry:
    """One line of a list.

    Attributes:
        name: What it is called in a text.
        about: The first line of its docstring.
        call: The call that builds it, with its defaults.
    """

    name: str
    about: str
    call: str


def encodings() -> list[Entry]:
    """Every encoding."""
    builtin = [
        each
        for each in _public("graphpe.transforms", "__init__.pyi")
        if any(base.name == "Encoding" for base in each.lineage()) and not each.abstract("encode", "encode_pairs")
    ]
    return _entries("encoding", builtin)


def models() -> list[Entry]:
    """Every architecture: what takes a `node_encoder`."""
    builtin = [
        each
        for each in _public("graphpe.models", "__init__.pyi")
        if "node_encoder" in each.parameters() and not each.abstract("forward")
    ]
    return _entries("model", builtin, without=lambda *_: SUPPLIED)


def recipes() -> list[Entry]:
    """Every recipe."""
    return [
        Entry(recipe.name, f"{recipe.published}; {recipe.parameters:,} parameters; {recipe.cost}", recipe.paper)
        for recipe in map(read_recipe, recipe_names())
    ]


def encoders() -> list[Entry]:
    """Every encoder of nodes' encodings, and every encoding that a model makes itself."""
    builtin = [
        each
        for each in _public("graphpe.models", "__init__.pyi")
        if not each.abstract("forward")
        and not each.in_attention()
        and _reads(each.parameters(), each.learned()) is not None
    ]
    return _entries("encoder", builtin, without=_supplied_to_encoder)


def _reads(parameters: Mapping[str, str | None], learned: bool) -> str | None:
    return read_by({name: default is not None for name, default in parameters.items()}, learned=learned)


def _supplied_to_encoder(parameters: Mapping[str, str | None], learned: bool) -> Collection[str]:
    what = _reads(parameters, learned)
    return () if what is None else SUPPLIED_TO_ENCODERS[what]


def biases() -> list[Entry]:
    """Everything that encodings may become in attention: biases and terms of pairs, and positions at nodes."""
    builtin = [
        each
        for each in _public("graphpe.models", "__init__.pyi")
        if each.in_attention() and not each.abstract("prepare", "transform", "forward")
    ]
    return _entries("bias", builtin, without=lambda *_: ("key", *BIAS_SUPPLIED))


def tasks() -> list[Entry]:
    """Every task."""
    about_encodings = (("task", "Pretraining"), ("auxiliary", "WithEncodings"))
    builtin = _public("graphpe.benchmarks.tasks", "__init__.py")
    builtin += [_Class(f"graphpe.benchmarks.pretraining.{module}", name) for module, name in about_encodings]
    return _entries("task", sorted(builtin, key=lambda each: each.name.lower()))


Supplied = Callable[[Mapping[str, str | None], bool], Collection[str]]
"""From a constructor's parameters, with their defaults or None, and whether it is of a learned encoding, to those
parameters that no text gives."""


def _nothing(_: Mapping[str, str | None], __: bool) -> Collection[str]:
    return ()


def _entries(kind: str, builtin: Sequence[_Class], without: Supplied = _nothing) -> list[Entry]:
    """Graphpe's own, then what the user's modules and installed packages add; only for these anything is imported."""
    own = own_classes(kind) | {name: load_installed(entry, kind) for name, entry in installed(kind).items()}
    check_new(own, [each.name for each in builtin], kind)
    entries = [each.entry(without(each.parameters(), each.learned())) for each in builtin]
    for name, member in sorted(own.items(), key=lambda item: item[0].lower()):
        parameters = {
            key: None if each.default is each.empty else repr(each.default)
            for key, each in parameters_of(member).items()
        }
        learned = any(base.__name__ == _LEARNED for base in member.__mro__)
        arguments = _arguments(parameters, without(parameters, learned))
        about = (inspect.getdoc(member) or "").split("\n")[0].rstrip(".")
        entries.append(Entry(name, about, f"{name}({', '.join(arguments)})"))
    return entries


_LEARNED = "LearnedEncoding"


def _arguments(parameters: Mapping[str, str | None], without: Collection[str]) -> list[str]:
    return [
        name if default is None else f"{name}={default}" for name, default in parameters.items() if name not in without
    ]


@dataclass(frozen=True)
class _Class:
    """A class as it stands in its source."""

    module: str
    name: str

    def entry(self, without: Collection[str]) -> Entry:
        """Its line in a list; `without` are parameters that are supplied from elsewhere."""
        arguments = _arguments(self.parameters(), without)
        about = (ast.get_docstring(self.definition()) or "").split("\n")[0].rstrip(".")
        return Entry(self.text_name(), about, f"{self.name}({', '.join(arguments)})")

    def definition(self) -> ast.ClassDef:
        """Its syntax tree."""
        return next(
            node for node in _tree(self.module).body if isinstance(node, ast.ClassDef) and node.name == self.name
        )

    def abstract(self, *methods: str) -> bool:
        """Whether one of the methods is only asked for: by no class of its lineage defined without `abstractmethod`."""
        nearest: dict[str, ast.FunctionDef] = {}
        for each in self.lineage():
            for node in each.definition().body:
                if isinstance(node, ast.FunctionDef) and node.name in methods:
                    nearest.setdefault(node.name, node)
        decorators = (each for node in nearest.values() for each in node.decorator_list)
        return any(isinstance(each, ast.Name) and each.id == "abstractmethod" for each in decorators)

    def lineage(self) -> Iterator[_Class]:
        """The class, then its ancestors in graphpe, nearest first."""
        yield self
        local = {node.name for node in _tree(self.module).body if isinstance(node, ast.ClassDef)}
        for base in self.definition().bases:
            if isinstance(base, ast.Name) and base.id in local:
                yield from _Class(self.module, base.id).lineage()
            elif isinstance(base, ast.Name) and _imports(self.module).get(base.id, "").startswith("graphpe."):
                yield from _Class(_imports(self.module)[base.id], base.id).lineage()

    def learned(self) -> bool:
        """Whether it is an encoding that a model makes itself."""
        return any(base.name == _LEARNED for base in self.lineage())

    def in_attention(self) -> bool:
        """Whether attention reads it."""
        return any(base.name in ("PairBias", "PairTerms", "NodePositions") for base in self.lineage())

    def text_name(self) -> str:
        """The `name` that a task gives itself, else the name of the class: `name` may be an argument of it."""
        if "name" not in self.parameters():
            for target, value in _assignments(self.definition().body):
                if target == "name" and isinstance(value, ast.Constant):
                    return str(value.value)
        return self.name

    def parameters(self) -> dict[str, str | None]:
        """The parameters of its constructor, with their defaults as they are printed; None for one that has none."""
        for each in self.lineage():
            for node in each.definition().body:
                if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                    return each.arguments_of(node.args)
        fields: dict[str, str | None] = {}  # a dataclass: those of the bases come first
        for each in reversed(list(self.lineage())):
            for node in each.definition().body:
                if isinstance(node, ast.AnnAssign) and not ast.unparse(node.annotation).startswith("ClassVar"):
                    fields[ast.unparse(node.target)] = None if node.value is None else each.printed(node.value)
        return fields

    def arguments_of(self, arguments: ast.arguments) -> dict[str, str | None]:
        positional = [*arguments.posonlyargs, *arguments.args][1:]
        missing: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
        defaults = [*missing, *arguments.defaults, *arguments.kw_defaults]
        return {
            argument.arg: None if default is None else self.printed(default)
            for argument, default in zip([*positional, *arguments.kwonlyargs], defaults, strict=True)
        }

    def printed(self, value: ast.expr) -> str:
        """A default as `repr` prints it: a literal, or a constant of the module or of one that it imports from."""
        module = self.module
        while isinstance(value, ast.Name):
            name, own = value.id, dict(_assignments(_tree(module).body))
            if name in own:
                value = own[name]
            else:
                module = _imports(module)[name]
                value = dict(_assignments(_tree(module).body))[name]
        return repr(ast.literal_eval(value))


def _public(package: str, file: str) -> list[_Class]:
    names = stub_imports(_source(package).with_name(file))
    classes = [_Class(names[name], name) for name in sorted(names, key=str.lower)]
    return [
        each
        for each in classes
        if any(isinstance(node, ast.ClassDef) and node.name == each.name for node in _tree(each.module).body)
    ]


def _source(module: str) -> Path:
    """The file of a module: an import name is a path."""
    path = Path(graphpe.__file__).parent.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_source(module).read_text(encoding="utf-8"))


@cache
def _imports(module: str) -> dict[str, str]:
    return stub_imports(_source(module))


def _assignments(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    """The names that are assigned in a block, and their values."""
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            yield node.target.id, node.value
