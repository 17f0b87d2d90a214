"""LAST_WRITE against an interpreter that walks every path, with one last writer a variable."""

from __future__ import annotations

import ast
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

State = tuple[tuple[str, int | None], ...]
"""The last writer of each variable; `x.` is the object of `x`."""
States = frozenset[State]

NOWHERE: States = frozenset()


class Ends(NamedTuple):
    """The states in which a block ends: normally, by `break`, by `continue`."""

    normal: States
    breaks: States = NOWHERE
    continues: States = NOWHERE


class Paths:
    """Walks all paths: sets of states instead of one, loops until there are no new ones.

    Attributes:
        found: Pairs of a writer and a reader.
        points: The states after all writes since some point.
    """

    def __init__(self) -> None:
        self.found: set[tuple[int, int]] = set()
        self.points: set[State] = set()

    def read(self, node: ast.AST, name: str, states: States) -> States:
        for state in states:
            values = dict(state)
            for variable in (name, f"{name}."):
                if values.get(variable) is not None:
                    self.found.add((values[variable], id(node)))
        return states

    def put(self, states: States, **values: int | None) -> States:
        out = frozenset(tuple(sorted((dict(state) | values).items())) for state in states)
        self.points |= out
        return out

    def bind(self, node: ast.AST | None, name: str, states: States) -> States:
        return self.put(states, **{name: None if node is None else id(node), f"{name}.": None})

    def value(self, node: ast.AST, states: States) -> States:
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                return self.read(node, name, states)
            case ast.Name(id=name, ctx=ast.Store()):
                return self.bind(node, name, states)
            case ast.Name(id=name, ctx=ast.Del()):
                return self.bind(None, name, self.read(node, name, states))
            case ast.Attribute(value=value, ctx=ast.Store()):
                states = self.value(value, states)
                return self.put(states, **{f"{value.id}.": id(node)})
            case ast.NamedExpr(target=target, value=value):
                return self.bind(target, target.id, self.value(value, states))
            case ast.BoolOp(values=values):
                ends = states = self.value(values[0], states)
                for value in values[1:]:
                    states = self.value(value, states)
                    ends |= states
                return ends
            case ast.IfExp(test=test, body=body, orelse=orelse):
                states = self.value(test, states)
                return self.value(body, states) | self.value(orelse, states)
            case ast.ListComp(elt=elt, generators=[generator]):
                states = self.value(generator.iter, states)
                ends: States = NOWHERE
                while states - ends:
                    ends |= states
                    states = self.value(generator.target, ends)
                    states = self.value(generator.ifs[0], states)
                    states = states | self.value(elt, states)
                return frozenset(tuple((name, at) for name, at in state if name not in ("i", "i.")) for state in ends)
            case _:
                for child in ast.iter_child_nodes(node):
                    states = self.value(child, states)
                return states

    def block(self, statements: list[ast.stmt], states: States) -> Ends:
        breaks = continues = NOWHERE
        for statement in statements:
            ends = self.statement(statement, states)
            states, breaks, continues = ends.normal, breaks | ends.breaks, continues | ends.continues
        return Ends(states, breaks, continues)

    def loop(self, node: ast.While | ast.For, states: States) -> Ends:
        at_head: States = NOWHERE
        exits = breaks = NOWHERE
        while states - at_head:
            at_head |= states
            inside = tested = self.value(node.test, at_head) if isinstance(node, ast.While) else at_head
            if isinstance(node, ast.For):
                inside = self.value(node.target, at_head)
            endless = isinstance(node, ast.While) and isinstance(node.test, ast.Constant)
            exits |= NOWHERE if endless else tested
            ends = self.block(node.body, inside)
            breaks |= ends.breaks
            states = ends.normal | ends.continues
        otherwise = self.block(node.orelse, exits)
        return Ends(otherwise.normal | breaks, otherwise.breaks, otherwise.continues)

    def try_(self, node: ast.Try, states: States) -> Ends:
        outer, self.points = self.points, set(states)
        body = self.block(node.body, states)
        thrown = frozenset(self.points)
        parts = [body._replace(normal=NOWHERE), self.block(node.orelse, body.normal)]
        for handler in node.handlers:
            caught = self.value(handler.type, thrown)
            part = self.block(handler.body, self.bind(handler, handler.name, caught))
            parts.append(part._replace(normal=self.bind(None, handler.name, part.normal)))
        normal, breaks, continues = (frozenset().union(*states) for states in zip(*parts, strict=True))
        if node.finalbody:
            assert not breaks | continues, "jumps through `finally` see more than those of their path"
            ends = self.block(node.finalbody, frozenset(self.points)), self.block(node.finalbody, normal)
            normal, breaks, continues = (
                ends[1].normal,
                ends[0].breaks | ends[1].breaks,
                ends[0].continues | ends[1].continues,
            )
        self.points |= outer
        return Ends(normal, breaks, continues)

    def match_(self, node: ast.Match, states: States) -> Ends:
        falls = self.value(node.subject, states)
        ends = []
        for case in node.cases:
            names = [pattern for pattern in ast.walk(case.pattern) if isinstance(pattern, ast.MatchAs) and pattern.name]
            inside = falls
            for pattern in names:
                inside = self.bind(pattern, pattern.name, inside)
            always = isinstance(case.pattern, ast.MatchAs)
            falls = NOWHERE if always else falls
            if case.guard is not None:
                inside = self.value(case.guard, inside)
                falls |= inside
            ends.append(self.block(case.body, inside))
        return Ends(*(frozenset().union(*states) for states in zip(Ends(falls), *ends, strict=True)))

    def statement(self, node: ast.stmt, states: States) -> Ends:
        match node:
            case ast.Assign(targets=[target], value=value):
                return Ends(self.value(target, self.value(value, states)))
            case ast.AugAssign(target=target, value=value):
                return Ends(self.bind(target, target.id, self.value(value, self.read(target, target.id, states))))
            case ast.Expr() | ast.Delete():
                return Ends(self.value(node, states))
            case ast.Return() | ast.Raise():
                return Ends(NOWHERE)
            case ast.Break():
                return Ends(NOWHERE, breaks=states)
            case ast.Continue():
                return Ends(NOWHERE, continues=states)
            case ast.If(test=test, body=body, orelse=orelse):
                states = self.value(test, states)
                ends = self.block(body, states), self.block(orelse, states)
                return Ends(*(one | other for one, other in zip(*ends, strict=True)))
            case ast.While() | ast.For():
                if isinstance(node, ast.For):
                    states = self.value(node.iter, states)
                return self.loop(node, states)
            case ast.With(items=[item], body=body):
                return self.block(body, self.value(item.optional_vars, self.value(item.context_expr, states)))
            case ast.Try():
                return self.try_(node, states)
            case ast.Match():
                return self.match_(node, states)
        raise AssertionError(node)


def check(edges_of, source: str) -> None:
    function = ast.parse(source).body[0]
    paths = Paths()
    state = {argument.arg: id(argument) for argument in function.args.args}
    paths.block(function.body, frozenset([tuple(sorted(state.items()))]))
    last_writes = {(writer, reader) for writer, reader, kind in edges_of(function) if kind == "LAST_WRITE"}
    assert last_writes == paths.found, source


OPTIONS = {"deadline": None, "suppress_health_check": list(HealthCheck), "phases": [Phase.explicit, Phase.generate]}


@settings(max_examples=60, **OPTIONS)
@given(data=st.data())
def test_last_writes_are_those_of_some_path(edges_of, functions, data):
    check(edges_of, data.draw(functions))


@pytest.mark.slow
@settings(max_examples=2000, **OPTIONS)
@given(data=st.data())
def test_last_writes_of_many_functions(edges_of, functions, data):
    check(edges_of, data.draw(functions))
