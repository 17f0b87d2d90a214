"""Reaching definitions: which writes a read may see.

The steps are run once, in order, with one value a variable: the node that wrote it last, or a *merge* of values where
paths meet. The beginning of a loop is a merge to which the values at the end of its body are added when they are known;
so nothing is run again until it settles. What a merge stands for is collected at the end, only where it is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from graphpe.benchmarks.tasks.code.dataflow.edge_types import last_sources
from graphpe.benchmarks.tasks.code.dataflow.program import (
    AFTER,
    BEFORE,
    BREAK,
    CHOICE,
    JUMP,
    LEAVE,
    LOOP,
    NEVER,
    READ,
    RUN,
    SCOPE,
    STORE,
    TRY,
    WRITE,
    Program,
    Scope,
    Step,
)

Value = int | None
"""A node; `-1 - i` for merge i; None for a variable without a value."""

State = list[Value]
"""Values of some variables, in their order."""


@dataclass
class _Loop:
    """A loop that is being run: the variables that it writes, and their values at its jumps."""

    variables: list[int]
    breaks: list[State] = field(default_factory=list)
    continues: list[State] = field(default_factory=list)


@dataclass
class _Guard:
    """A `finally` that is still to come, and the kinds of jumps that it holds up."""

    jumps: set[int] = field(default_factory=set)


class Flow:
    """Runs programs; the variable of an object has the number of the name's variable, inverted (`~`)."""

    def __init__(self) -> None:
        self.values: dict[int, Value] = {}
        self.reads: list[tuple[int, int]] = []
        """Pairs of a reader and a value that it sees."""
        self.merges: list[list[Value]] = []
        self.alive = True
        """Whether what is being run is reached."""
        self.frames: list[_Loop | _Guard] = []
        self.writes: list[tuple[int, int]] | None = None
        """Every write since some point, as variable and node, where that is wanted."""
        self.scope = Scope(None)

    def run(self, program: Program) -> None:
        """Run some steps."""
        values, scope, reads = self.values, self.scope, self.reads
        for step in program:
            code = step[0]
            if code == READ:
                if self.alive:
                    variable = scope[step[2]]
                    value = values.get(variable)
                    if value is not None:
                        reads.append((step[1], value))
                    value = values.get(~variable)
                    if value is not None:
                        reads.append((step[1], value))
            elif code == WRITE:
                if self.alive:
                    variable = scope[step[2]]
                    values[variable] = step[1]
                    values[~variable] = None
                    if self.writes is not None:
                        self.writes.append((variable, step[1]))
            elif code == STORE:
                if self.alive:
                    variable = ~scope[step[2]]
                    values[variable] = step[1]
                    if self.writes is not None:
                        self.writes.append((variable, step[1]))
            elif code == CHOICE:
                self._choice(step)
            elif code == LOOP:
                self._loop(step)
            elif code == TRY:
                self._try(step)
            elif code == JUMP:
                self._jump(step[1])
            elif code == RUN:
                self._function(step)
            elif code == SCOPE:
                self.scope = step[1]
                self.run(step[2])
                self.scope = scope
            else:  # UNBIND
                if self.alive:
                    variable = scope[step[1]]
                    values[variable] = values[~variable] = None

    def sources(self) -> Iterable[tuple[int, int]]:
        """Pairs of a writer and a reader that may see it."""
        known: dict[int, tuple[int, ...]] = {}
        for reader, value in self.reads:
            if value >= 0:
                yield value, reader
            else:
                if value not in known:
                    known[value] = self._collect(value, known)
                for writer in known[value]:
                    yield writer, reader

    def _collect(self, value: int, known: dict[int, tuple[int, ...]]) -> tuple[int, ...]:
        """The nodes that a merge stands for."""
        nodes: set[int] = set()
        seen, stack = {value}, [value]
        while stack:
            for part in self.merges[-1 - stack.pop()]:
                if part is None:
                    continue
                if part >= 0:
                    nodes.add(part)
                elif part in known:
                    nodes.update(known[part])
                elif part not in seen:
                    seen.add(part)
                    stack.append(part)
        return last_sources(nodes)

    # States

    def _variables(self, names: Iterable[str]) -> list[int]:
        numbers = list(dict.fromkeys(self.scope[name] for name in names))  # two names may be one variable
        return numbers + [~number for number in numbers]

    def _state(self, variables: list[int]) -> State:
        values = self.values
        return [values.get(variable) for variable in variables]

    def _set(self, variables: list[int], state: Iterable[Value]) -> None:
        self.values.update(zip(variables, state, strict=True))

    def _merge(self, parts: Iterable[Value]) -> Value:
        distinct = {part for part in parts if part is not None}
        if not distinct:
            return None
        if len(distinct) == 1:
            return distinct.pop()
        self.merges.append(list(distinct))
        return -len(self.merges)

    def _join(self, variables: list[int], states: list[State]) -> None:
        """Go on from where some paths meet; nowhere if there is none."""
        self.alive = bool(states)
        if len(states) == 1:
            self._set(variables, states[0])
        elif states:
            for variable, parts in zip(variables, zip(*states, strict=True), strict=True):
                first = parts[0]
                same = all(part == first for part in parts)
                self.values[variable] = first if same else self._merge(parts)

    # Control

    def _choice(self, step: Step) -> None:
        _, arms, rest, names = step
        if not self.alive:
            for head, body, _ in arms:
                self.run(head)
                self.run(body)
            self.run(rest)
            return
        variables = self._variables(names)
        ends: list[State] = []
        for head, body, fall in arms:
            before, reached = self._state(variables), self.alive
            self.run(head)
            after = self._state(variables)
            self.run(body)
            if self.alive:
                ends.append(self._state(variables))
            if fall == NEVER or not reached:
                self._join(variables, [])
            else:
                self._join(variables, [after] if fall == AFTER else [before] if fall == BEFORE else [before, after])
        self.run(rest)
        if self.alive:
            ends.append(self._state(variables))
        self._join(variables, ends)

    def _loop(self, step: Step) -> None:
        _, test, body, orelse, endless, names = step
        if not self.alive:
            for part in (test, body, orelse):
                self.run(part)
            return
        variables = self._variables(names)
        heads = []
        for variable in variables:
            self.merges.append([self.values.get(variable)])
            heads.append(-len(self.merges))
        self._set(variables, heads)
        frame = _Loop(variables)
        self.frames.append(frame)
        self.run(test)
        exits = self._state(variables)
        self.run(body)
        self.frames.pop()
        if self.alive:
            frame.continues.append(self._state(variables))
        for state in frame.continues:
            for head, value in zip(heads, state, strict=True):
                if value != head:
                    self.merges[-1 - head].append(value)
        self._join(variables, [] if endless else [exits])
        self.run(orelse)
        self._join(variables, [*frame.breaks, self._state(variables)] if self.alive else frame.breaks)

    def _jump(self, kind: int) -> None:
        if self.alive and self.frames:
            frame = self.frames[-1]
            if isinstance(frame, _Guard):
                frame.jumps.add(kind)
            elif kind != LEAVE:
                (frame.breaks if kind == BREAK else frame.continues).append(self._state(frame.variables))
        self.alive = False

    def _try(self, step: Step) -> None:
        _, body, handlers, orelse, final, names = step
        if not self.alive:
            for part in (body, *handlers, orelse, final):
                self.run(part)
            return
        variables = self._variables(names)
        entry = self._state(variables)
        outer, self.writes = self.writes, []
        guard = _Guard()
        if final:
            self.frames.append(guard)
        self.run(body)
        after_body, reached = self._state(variables), self.alive
        thrown = self._anywhere(variables, entry)
        self._join(variables, [after_body] if reached else [])
        self.run(orelse)
        ends = [self._state(variables)] if self.alive else []
        for handler in handlers:
            self._join(variables, [thrown])
            self.run(handler)
            if self.alive:
                ends.append(self._state(variables))
        if final:
            self.frames.pop()
            self._join(variables, [self._anywhere(variables, entry)])
            self.run(final)
            if self.alive:
                for kind in guard.jumps:
                    self.alive = True
                    self._jump(kind)
        self._join(variables, ends)
        if final and ends:
            self.run(final)
        if outer is not None:
            outer += self.writes
        self.writes = outer

    def _anywhere(self, variables: list[int], entry: State) -> State:
        """Values at any point since an entry: those of then and all that were written since."""
        found: dict[int, list[Value]] = {variable: [value] for variable, value in zip(variables, entry, strict=True)}
        for variable, node in self.writes or ():
            if variable in found:
                found[variable].append(node)
        return [self._merge(parts) for parts in found.values()]

    def _function(self, step: Step) -> None:
        _, inner, program, names = step
        reached, scope, outer, frames = self.alive, self.scope, self.writes, self.frames
        self.scope, self.writes, self.frames = inner, [], []
        variables = self._variables(names)
        entry = self._state(variables)
        kept = self.values
        if not reached:  # nothing from outside is seen
            self.values = {}
        self.alive = True
        self.run(program)
        self.values = kept
        if reached:
            self._set(variables, self._anywhere(variables, entry))
            if outer is not None:
                known = set(variables)
                outer += [write for write in self.writes if write[0] in known]
        self.alive, self.scope, self.writes, self.frames = reached, scope, outer, frames
