"""From statements to steps and blocks."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from graphpe.benchmarks.tasks.code.dataflow.expressions import Expressions, capture
from graphpe.benchmarks.tasks.code.dataflow.order import ACTS, JUMPS, READS, STOPS, Block, Statement
from graphpe.benchmarks.tasks.code.dataflow.program import (
    AFTER,
    BEFORE,
    BREAK,
    CHOICE,
    CONTINUE,
    EITHER,
    JUMP,
    LEAVE,
    LOOP,
    NEVER,
    READ,
    SCOPE,
    TRY,
    Program,
    Scope,
    global_name,
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Statements(Expressions):
    """Lowers functions."""

    def __init__(self, number: dict[int, int]) -> None:
        super().__init__(number)
        self.loops: list[int] = []
        self.handlers: list[int] = []
        """First handlers of the `try` statements around, and the numbers of loops around."""

    def lower(self, function: Function, *, is_method: bool) -> Program:
        """The steps of an outermost function; its own name is bound unless it is a method."""
        self.scope = Scope(None)
        self.renamed = {}

        def run() -> None:
            self._definition(function, bind=not is_method)

        program = self.part(run)
        self.blocks = []
        return [(SCOPE, self.scope, program)]

    def block(self, statements: Sequence[ast.stmt], header: int, *, loop: bool = False) -> None:
        """Statements in a row. They are kept as a block, whose order is found when all names of the scope are known."""
        found: list[Statement] = []
        reads, writes, touched, effects = self.reads, self.writes, self.touched, self.effects
        methods, number = self.methods, self.number
        for statement in statements:
            self.reads, self.writes, self.touched, self.effects = set(), set(), set(), 0
            methods[statement.__class__](statement)
            found.append(Statement(number[id(statement)], self.reads, self.writes, self.touched, self.effects))
            reads |= self.reads
            writes |= self.writes
            touched |= self.touched
            effects |= self.effects
        self.reads, self.writes, self.touched, self.effects = reads, writes, touched, effects
        if found:
            self.blocks.append(Block(header, found, loop))

    def block_part(self, statements: Sequence[ast.stmt], header: int) -> Program:
        """The steps of a block, not added."""
        return self.part(lambda: self.block(statements, header))

    # Definitions

    def _visit_FunctionDef(self, node: Function) -> None:
        self._definition(node, bind=True)

    _visit_AsyncFunctionDef = _visit_FunctionDef

    def _definition(self, node: Function, *, bind: bool) -> None:
        arguments, number = node.args, self.number[id(node)]
        self.visit_all(node.decorator_list)
        if node.decorator_list:
            self.effects |= READS | ACTS
        self.visit_all(getattr(node, "type_params", ()))
        self._defaults(arguments)
        every = [*arguments.posonlyargs, *arguments.args, arguments.vararg, *arguments.kwonlyargs, arguments.kwarg]
        self.visit_all([argument.annotation for argument in every if argument is not None])
        self.visit_all([node.returns])
        if bind:
            self.write(node, node.name)
        loops, handlers, self.loops, self.handlers = self.loops, self.handlers, [], []
        self.functions[number] = self.function(arguments, lambda: self.block(node.body, number))
        self.loops, self.handlers = loops, handlers

    def _visit_ClassDef(self, node: ast.ClassDef) -> None:
        number = self.number[id(node)]
        self.visit_all(node.decorator_list)
        self.visit_all(getattr(node, "type_params", ()))
        self.visit_all(node.bases)
        self.visit_all(keyword.value for keyword in node.keywords)
        outer, blocks, reads, writes = self.scope, self.blocks, self.reads, self.writes
        renamed, loops = self.renamed, self.loops
        inner = self.scope = Scope(outer.outer if outer.of_class else outer, of_class=True)
        self.blocks, self.reads, self.writes, self.renamed, self.loops = [], set(), set(), {}, []
        program = self.part(lambda: self.block(node.body, number))
        self.close_scope()
        free_reads = self.reads - inner.bound | inner.read_through
        free_writes = self.writes - inner.bound | inner.written_through
        self.scope, self.blocks, self.reads, self.writes = outer, blocks, reads, writes
        self.renamed, self.loops = renamed, loops
        if outer.of_class:
            outer.read_through |= free_reads
            outer.written_through |= free_writes
        else:
            self.reads |= free_reads
            self.writes |= free_writes
            outer.read_inside |= inner.read_through
            outer.written_inside |= inner.written_through
        self.program.append((SCOPE, inner, program))
        self.write(node, node.name)
        self.effects |= READS | ACTS

    def _visit_TypeVar(self, node: ast.AST) -> None:
        self.write(node, node.name)  # type: ignore[attr-defined]
        self._generic(node)

    _visit_ParamSpec = _visit_TypeVarTuple = _visit_TypeVar

    def _visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            if alias.name != "*":
                self.write(alias, alias.asname or alias.name.partition(".")[0])
        self.effects |= READS | ACTS

    _visit_ImportFrom = _visit_Import

    def _visit_Global(self, node: ast.Global) -> None:
        for name in node.names:
            self.renamed[name] = global_name(name)
            self.writes.add(self.renamed[name])  # the declaration comes before every use: ordered like a write

    def _visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        self.scope.nonlocals.update(node.names)
        self.writes.update(node.names)

    # Assignments

    def _visit_Assign(self, node: ast.Assign) -> None:
        self.assigned(node.value, node.targets)
        self.visit_all(node.targets)

    def assigned(self, value: ast.expr, targets: Sequence[ast.expr]) -> None:
        """Evaluate the value; its names are sources of the targets, element by element where both are written out."""
        together: list[ast.expr] = []
        pairs: list[Any] = []  # tuples and lists
        for target in targets:
            (pairs if _match(value, target) else together).append(target)
        since = len(self.loads)
        if pairs:
            assert isinstance(value, ast.Tuple | ast.List)
            for place, element in enumerate(value.elts):
                self.assigned(element, [target.elts[place] for target in pairs])
        else:
            self.visit(value)
        self.computed_from(since, together)

    def _visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if self.scope.of_class:
            self.visit(node.annotation)
        if node.value is not None:
            since = len(self.loads)
            self.visit(node.value)
            self.computed_from(since, [node.target])
            self.visit(node.target)
        elif isinstance(node.target, ast.Name):
            self.scope.bound.add(node.target.id)

    def _visit_AugAssign(self, node: ast.AugAssign) -> None:
        target = node.target
        if isinstance(target, ast.Name):
            name = self.renamed.get(target.id, target.id)
            self.reads.add(name)
            self.program.append((READ, self.number[id(target)], name))
        else:  # its parts are read once, then the old value
            self.visit_all([target.value] if isinstance(target, ast.Attribute) else [target.value, target.slice])
        since = len(self.loads)
        self.visit(node.value)
        self.computed_from(since, [target])
        if isinstance(target, ast.Name):
            self.write(target, target.id)
        else:
            self.effects |= READS
            self.store(target)

    # Control

    def _visit_If(self, node: ast.If) -> None:
        arms = []
        rest: Program = []
        branch: ast.If | None = node
        while branch is not None:  # a chain of `elif` is as deep as it is long: not by recursion
            number = self.number[id(branch)]
            test, body = branch.test, branch.body
            head = self.part(lambda test=test: self.visit(test))  # type: ignore[misc]
            arms.append((head, self.block_part(body, number), AFTER))
            orelse = branch.orelse
            if len(orelse) == 1 and isinstance(orelse[0], ast.If):
                branch = orelse[0]
                self.following += (number, self.number[id(branch)])
            else:
                rest = self.block_part(orelse, number)
                branch = None
        self.program.append((CHOICE, arms, rest, self.writes))

    def _visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        since = len(self.loads)
        self.visit(node.iter)
        self.computed_from(since, [node.target])
        if isinstance(node, ast.AsyncFor):
            self.effects |= READS | ACTS
        target = self.part(lambda: self.visit(node.target))
        self._loop(node, [], target, endless=False)

    _visit_AsyncFor = _visit_For

    def _visit_While(self, node: ast.While) -> None:
        test = self.part(lambda: self.visit(node.test))
        self._loop(node, test, [], endless=isinstance(node.test, ast.Constant) and bool(node.test.value))

    def _loop(self, node: ast.For | ast.AsyncFor | ast.While, test: Program, target: Program, *, endless: bool) -> None:
        number = self.number[id(node)]
        self.loops.append(number)
        around = self.effects & JUMPS
        body = target + self.part(lambda: self.block(node.body, number, loop=True))
        self.effects = self.effects & ~JUMPS | around
        self.loops.pop()
        if endless:  # what comes after it may never be reached
            self.effects |= STOPS
        self.program.append((LOOP, test, body, self.block_part(node.orelse, number), endless, self.writes))

    def _visit_Break(self, node: ast.Break | ast.Continue) -> None:
        self.program.append((JUMP, BREAK if isinstance(node, ast.Break) else CONTINUE))
        self.effects |= JUMPS
        if self.loops:
            self.following += (self.number[id(node)], self.loops[-1])

    _visit_Continue = _visit_Break

    def _visit_Return(self, node: ast.Return) -> None:
        self.visit_all([node.value])
        self.returns.append(self.number[id(node)])
        self.program.append((JUMP, LEAVE))
        self.effects |= STOPS

    def _visit_Raise(self, node: ast.Raise) -> None:
        self.visit_all([node.exc, node.cause])
        self.program.append((JUMP, LEAVE))
        self.effects |= STOPS
        if self.handlers:
            self.following += (self.number[id(node)], self.handlers[-1])

    def _visit_Assert(self, node: ast.Assert) -> None:
        self.visit(node.test)
        self.visit_all([node.msg])
        self.effects |= STOPS

    def _visit_Try(self, node: ast.Try) -> None:
        number = self.number[id(node)]
        numbers = [self.number[id(handler)] for handler in node.handlers]
        for one, other in zip([number, *numbers], numbers, strict=False):
            self.following += (one, other)
        if numbers:
            self.handlers.append(numbers[0])
        body = self.block_part(node.body, number)
        if numbers:
            self.handlers.pop()
        handlers = [self.part(lambda handler=handler: self.visit(handler)) for handler in node.handlers]  # type: ignore[misc]
        orelse = self.block_part(node.orelse, number)
        self.program.append((TRY, body, handlers, orelse, self.block_part(node.finalbody, number), self.writes))

    _visit_TryStar = _visit_Try

    def _visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self.visit_all([node.type])
        if node.name:
            self.write(node, node.name)
        self.block(node.body, self.number[id(node)])
        if node.name:
            self._unbind(self.renamed.get(node.name, node.name))

    def _visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            since = len(self.loads)
            self.visit(item.context_expr)
            self.touched.update(self.load_names[since:])
            if item.optional_vars is not None:
                self.computed_from(since, [item.optional_vars])
                self.visit(item.optional_vars)
        self.effects |= READS | ACTS
        self.block(node.body, self.number[id(node)])

    _visit_AsyncWith = _visit_With

    def _visit_Match(self, node: ast.Match) -> None:
        since = len(self.loads)
        self.visit(node.subject)
        subject = slice(since, len(self.loads))
        before = self.number[id(node)]
        arms = []
        for case in node.cases:
            number = self.number[id(case)]
            self.following += (before, number)
            before = number
            kept, self.loads = self.loads, self.loads[subject]
            self.computed_from(0, [case.pattern])
            self.loads = kept
            head = self.part(lambda case=case: self.visit_all([case.pattern, case.guard]))  # type: ignore[misc]
            always = isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None
            fall = (NEVER if always else BEFORE) if case.guard is None else (AFTER if always else EITHER)
            arms.append((head, self.block_part(case.body, number), fall))
        self.effects |= READS
        self.program.append((CHOICE, arms, [], self.writes))

    def _visit_MatchAs(self, node: ast.MatchAs | ast.MatchStar | ast.MatchMapping) -> None:
        self._generic(node)
        name = capture(node)
        if name is not None:
            self.write(node, name)

    _visit_MatchStar = _visit_MatchMapping = _visit_MatchAs


def _match(value: ast.expr, target: ast.expr) -> bool:
    """Whether a value and a target are written out element by element, as many of one as of the other."""
    if not isinstance(value, ast.Tuple | ast.List) or not isinstance(target, ast.Tuple | ast.List):
        return False
    parts = [*value.elts, *target.elts]
    return len(value.elts) == len(target.elts) and not any(isinstance(part, ast.Starred) for part in parts)
