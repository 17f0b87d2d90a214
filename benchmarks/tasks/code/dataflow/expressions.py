"""From expressions to steps, in the order of evaluation, and to what a statement touches."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from graphpe.benchmarks.tasks.code.dataflow.edge_types import MOST_SOURCES
from graphpe.benchmarks.tasks.code.dataflow.order import ACTS, READS, STOPS, Block, order_block
from graphpe.benchmarks.tasks.code.dataflow.program import (
    AFTER,
    CHOICE,
    LOOP,
    READ,
    RUN,
    STORE,
    UNBIND,
    WRITE,
    Program,
    Scope,
)


class Expressions:
    """Lowers expressions; statements are added by a subclass.

    Attributes:
        number: Node number by `id` of a syntax node.
        program: The steps of what is being lowered.
        reads, writes, touched, effects: Of the statement that is being lowered: names read, names written, names whose
            objects a call may write, and flags of `order`.
        computed: Pairs of numbers, source and target of COMPUTED_FROM, one after the other.
        following: Pairs of CFG_NEXT.
        functions: For each definition, the numbers of its `return` and `yield`.
        callee: For the number of a name that is called, the number of the call.
    """

    def __init__(self, number: dict[int, int]) -> None:
        self.number = number
        self.scope = Scope(None)
        self.program: Program = []
        self.reads: set[str] = set()
        self.writes: set[str] = set()
        self.touched: set[str] = set()
        self.effects = 0
        self.computed: list[int] = []
        self.functions: dict[int, list[int]] = {}
        self.callee: dict[int, int] = {}
        self.returns: list[int] = []
        self.blocks: list[Block] = []
        self.following: list[int] = []
        self.loads: list[int] = []
        self.load_names: list[str] = []
        self.walrus: list[str] = []
        self.renamed: dict[str, str] = {}
        """What names are called that a comprehension around binds, or that the scope declares global."""
        self.calls = 0
        self.methods: dict[type, Callable[[Any], None]] = _Methods(self)

    def visit(self, node: ast.AST) -> None:
        """Lower a node."""
        self.methods[node.__class__](node)

    def visit_all(self, nodes: Iterable[ast.AST | None]) -> None:
        """Lower nodes in their order; None stands for a part that is not there."""
        methods = self.methods
        for node in nodes:
            if node is not None:
                methods[node.__class__](node)

    def part(self, work: Callable[[], None]) -> Program:
        """The steps that some work adds, not added."""
        before, self.program = self.program, []
        work()
        after, self.program = self.program, before
        return after

    def _generic(self, node: ast.AST) -> None:
        methods = self.methods
        for field in node._fields:
            child = getattr(node, field, None)
            if child.__class__ is list:
                for item in child:
                    if isinstance(item, ast.AST):
                        methods[item.__class__](item)
            elif isinstance(child, ast.AST):
                methods[child.__class__](child)

    def _nothing(self, node: ast.AST) -> None:
        """A leaf, or something that is not evaluated."""

    # Names

    def write(self, node: ast.AST, name: str) -> None:
        """The node binds a name of the scope."""
        name = self.renamed.get(name, name)
        self.writes.add(name)
        if name not in self.scope.nonlocals and name[-1] != "@":
            self.scope.bound.add(name)
        self.program.append((WRITE, self.number[id(node)], name))

    def _visit_Name(self, node: ast.Name) -> None:
        context = node.ctx.__class__
        if context is ast.Store:
            self.write(node, node.id)
            return
        name = node.id
        if self.renamed:
            name = self.renamed.get(name, name)
        number = self.number[id(node)]
        self.reads.add(name)
        self.program.append((READ, number, name))
        if context is ast.Load:
            self.loads.append(number)
            self.load_names.append(name)
        else:
            self._unbind(name)

    def _unbind(self, name: str) -> None:
        self.writes.add(name)
        if name not in self.scope.nonlocals and name[-1] != "@":
            self.scope.bound.add(name)
        self.program.append((UNBIND, name))

    def _visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        since = len(self.loads)
        self.visit(node.value)
        self.computed_from(since, [node.target])
        # In a comprehension, the name belongs to the function around it.
        name = node.target.id
        outer = self.renamed.get(name, name)
        if "#" in outer:
            outer = name
        self.walrus.append(outer)
        hidden, self.renamed = self.renamed, {} if outer == name else {name: outer}
        self.write(node.target, name)
        self.renamed = hidden

    # Objects

    def _visit_Attribute(self, node: ast.Attribute) -> None:
        self.visit(node.value)
        self.effects |= READS
        if node.ctx.__class__ is not ast.Load:
            self.store(node)

    def _visit_Subscript(self, node: ast.Subscript) -> None:
        self.visit(node.value)
        self.visit(node.slice)
        self.effects |= READS
        if node.ctx.__class__ is not ast.Load:
            self.store(node)

    def store(self, node: ast.Attribute | ast.Subscript) -> None:
        """The node writes the object of the name that its chain of attributes and subscripts begins with, if any."""
        self.effects |= ACTS
        base: ast.expr = node
        while isinstance(base, ast.Attribute | ast.Subscript):
            base = base.value
        if isinstance(base, ast.Name):
            name = self.renamed.get(base.id, base.id)
            self.writes.add(name)
            self.program.append((STORE, self.number[id(node)], name))

    def _visit_Call(self, node: ast.Call) -> None:
        since = len(self.loads)
        self.calls += 1
        self.visit(node.func)
        self.visit_all(node.args)
        for keyword in node.keywords:
            self.visit(keyword.value)
        self.calls -= 1
        self.effects |= READS | ACTS
        if not self.calls:  # the outermost call has the names of those in it
            self.touched.update(self.load_names[since:])
        if node.func.__class__ is ast.Name:
            self.callee[self.number[id(node.func)]] = self.number[id(node)]

    def _visit_Await(self, node: ast.Await) -> None:
        self.visit(node.value)
        self.effects |= READS | ACTS

    def _visit_Yield(self, node: ast.Yield | ast.YieldFrom) -> None:
        if node.value is not None:
            self.visit(node.value)
        self.returns.append(self.number[id(node)])
        self.effects |= STOPS

    _visit_YieldFrom = _visit_Yield

    # Conditions

    def _visit_BoolOp(self, node: ast.BoolOp) -> None:
        self.visit(node.values[0])
        for value in node.values[1:]:
            self.perhaps(lambda value=value: self.visit(value))  # type: ignore[misc]

    def perhaps(self, work: Callable[[], None], *, often: bool = False) -> None:
        """Steps that may be left out (or repeated): a choice (or loop) only where they write, which takes a `:=`."""
        start, walrus = len(self.program), len(self.walrus)
        work()
        if len(self.walrus) == walrus:
            return
        names = set(self.walrus[walrus:])
        steps = self.program[start:]
        del self.program[start:]
        if often:
            self.program.append((LOOP, [], steps, [], False, names))
        else:
            self.program.append((CHOICE, [([], steps, AFTER)], [], names))

    def _visit_IfExp(self, node: ast.IfExp) -> None:
        self.visit(node.test)
        start, walrus = len(self.program), len(self.walrus)
        self.visit(node.body)
        middle = len(self.program)
        self.visit(node.orelse)
        if len(self.walrus) > walrus:
            body, rest = self.program[start:middle], self.program[middle:]
            del self.program[start:]
            self.program.append((CHOICE, [([], body, AFTER)], rest, set(self.walrus[walrus:])))

    # Scopes in expressions

    def _visit_comprehension_of(self, node: ast.AST) -> None:
        generators = node.generators  # type: ignore[attr-defined]
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]  # type: ignore[attr-defined]
        before, suffix = self.renamed, f"#{self.number[id(node)]}"

        def repeat(place: int) -> None:
            """A `for` and all that is to its right."""
            generator, since = generators[place], len(self.loads)
            self.visit(generator.iter)
            if generator.is_async:
                self.effects |= READS | ACTS

            def one_round() -> None:
                bound = [name.id for name in ast.walk(generator.target) if isinstance(name, ast.Name)]
                self.renamed = self.renamed | {name: name + suffix for name in bound}
                self.computed_from(since, [generator.target])
                self.visit(generator.target)
                go_on(place, 0)

            self.perhaps(one_round, often=True)

        def go_on(place: int, test: int) -> None:
            """A condition, the next `for` or the element."""
            tests = generators[place].ifs
            if test < len(tests):
                self.visit(tests[test])
                self.perhaps(lambda: go_on(place, test + 1))
            elif place + 1 < len(generators):
                repeat(place + 1)
            else:
                self.visit_all(parts)

        repeat(0)
        self.renamed = before

    _visit_ListComp = _visit_SetComp = _visit_GeneratorExp = _visit_DictComp = _visit_comprehension_of

    def _visit_Lambda(self, node: ast.Lambda) -> None:
        self._defaults(node.args)
        self.function(node.args, lambda: self.visit(node.body), expression=True)

    def _defaults(self, arguments: ast.arguments) -> None:
        self.visit_all(arguments.defaults)
        self.visit_all(arguments.kw_defaults)

    def function(self, arguments: ast.arguments, body: Callable[[], None], *, expression: bool = False) -> list[int]:
        """The body of a function in a scope of its own; the numbers of its `return` and `yield`."""
        parameters = [*arguments.posonlyargs, *arguments.args]
        if arguments.vararg:
            parameters.append(arguments.vararg)
        parameters += arguments.kwonlyargs
        if arguments.kwarg:
            parameters.append(arguments.kwarg)
        own = {parameter.arg for parameter in parameters}
        outer, since = self.scope, len(self.loads)
        kept = (self.reads, self.writes, self.touched, self.effects, self.returns)
        around = (self.blocks, self.renamed, self.calls, self.walrus)
        inner = self.scope = Scope(outer.outer if outer.of_class else outer)
        self.reads, self.writes, self.touched, self.effects, self.returns = set(), set(), set(), 0, []
        # A lambda sees the names of comprehensions around it; a definition cannot stand in one.
        renamed = {name: new for name, new in self.renamed.items() if name not in own} if expression else {}
        self.blocks, self.renamed, self.calls, self.walrus = [], renamed, 0, []

        def run() -> None:
            for parameter in parameters:
                self.write(parameter, parameter.arg)
            body()

        program = self.part(run)
        self.close_scope()
        returns, reads, writes = self.returns, self.reads - inner.bound, self.writes - inner.bound
        self.reads, self.writes, self.touched, self.effects, self.returns = kept
        self.blocks, self.renamed, self.calls, self.walrus = around
        self.scope = outer
        if self.calls:  # the objects of a lambda's own names are not what a call around it may write
            self.load_names[since:] = ["" if name in inner.bound else name for name in self.load_names[since:]]
        self.program.append((RUN, inner, program, writes))
        if outer.of_class:
            outer.read_through |= reads
            outer.written_through |= writes
        else:
            self.reads |= reads
            self.writes |= writes
            outer.read_inside |= reads
            outer.written_inside |= writes
        if writes:
            self.effects |= ACTS
        return returns

    def close_scope(self) -> None:
        """What is left to do when everything in a scope has been lowered: the order in its blocks."""
        for block in self.blocks:
            order_block(block, self.scope, self.following)
        self.blocks = []

    # Computed from

    def computed_from(self, since: int, targets: Iterable[ast.AST]) -> None:
        """Every name that was read since then is a source of each target."""
        sources = self.loads[since:][-MOST_SOURCES:]
        if sources:
            for target in targets:
                for node in stored(target):
                    number = self.number[id(node)]
                    for source in sources:
                        self.computed += (source, number)


def stored(target: ast.AST) -> Iterator[ast.AST]:
    """The names, attributes and subscripts that a target of an assignment, or a pattern, writes."""
    if isinstance(target, ast.Tuple | ast.List):
        for element in target.elts:
            yield from stored(element)
    elif isinstance(target, ast.Starred):
        yield from stored(target.value)
    elif isinstance(target, ast.pattern):
        yield from (node for node in ast.walk(target) if capture(node) is not None)
    else:
        yield target


def capture(node: ast.AST) -> str | None:
    """The name that a pattern binds itself."""
    name = node.rest if isinstance(node, ast.MatchMapping) else getattr(node, "name", None)
    return name if isinstance(node, ast.MatchAs | ast.MatchStar | ast.MatchMapping) else None


class _Methods(dict[type, Callable[[Any], None]]):
    """Methods by class of node, found when a class is first met."""

    def __init__(self, owner: Expressions) -> None:
        super().__init__()
        self.owner = owner

    def __missing__(self, cls: type[ast.AST]) -> Callable[[Any], None]:
        leaf = not cls._fields or cls is ast.Constant
        default = getattr(self.owner, "_nothing" if leaf else "_generic")
        method = self[cls] = getattr(self.owner, f"_visit_{cls.__name__}", default)
        return method
