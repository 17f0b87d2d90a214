"""What a function does to its variables, as steps: the form between syntax and reaching definitions.

A step is a tuple whose first entry is one of the constants below; a program is a list of steps.

    (READ, node, name)          the node reads the variable
    (WRITE, node, name)         the node binds it
    (STORE, node, name)         the node writes the object it stands for
    (UNBIND, name)              it has no value any more
    (CHOICE, arms, rest, names) arms are tried in order, (head, body, fall): the head runs, then the body or the rest
    (LOOP, test, body, orelse, endless, names)
    (TRY, body, handlers, orelse, final, names)
    (JUMP, kind)                break, continue, or out of the function
    (SCOPE, scope, program)     in another scope: the body of a class
    (RUN, scope, program, names) in another scope, perhaps: the body of a function

`names` holds every name that the step may write in the scope around it.
"""

from __future__ import annotations

from itertools import count
from typing import Any

Step = tuple[Any, ...]
Program = list[Step]

READ, WRITE, STORE, UNBIND, CHOICE, LOOP, TRY, JUMP, SCOPE, RUN = range(10)

BREAK, CONTINUE, LEAVE = range(3)
"""Kinds of jumps."""

AFTER, BEFORE, EITHER, NEVER = range(4)
"""How an arm of a choice is passed by: with its head run, without, with or without, or not at all."""


_GLOBAL = "@"


class Scope(dict[str, int]):
    """A scope of names: for a name that is read in it, the number of the variable.

    Names of other scopes are looked up in the scope around, classes apart; names that no scope binds are global.

    Args:
        outer: The next function around, or the module; None for the module itself.
        of_class: Whether it is the scope of a class: functions in it do not see it.
    """

    __slots__ = (
        "bound",
        "nonlocals",
        "numbers",
        "of_class",
        "outer",
        "read_inside",
        "read_through",
        "written_inside",
        "written_through",
    )

    def __init__(self, outer: Scope | None, *, of_class: bool = False) -> None:
        super().__init__()
        self.outer, self.of_class = outer, of_class
        self.numbers: count[int] = count() if outer is None else outer.numbers
        self.bound: set[str] = set()
        self.nonlocals: set[str] = set()
        # Names that functions inside it read and write, and such that pass it by, since it is a class.
        self.read_inside: set[str] = set()
        self.written_inside: set[str] = set()
        self.read_through: set[str] = set()
        self.written_through: set[str] = set()

    def __missing__(self, name: str) -> int:
        if self.outer is None and name.endswith(_GLOBAL):
            number = self[name.removesuffix(_GLOBAL)]
        elif self.outer is None or name in self.bound:
            number = next(self.numbers)
        else:
            number = self.outer[name]
        self[name] = number
        return number


def global_name(name: str) -> str:
    """What a name is called that a scope declares global: no scope below the module binds it."""
    return name + _GLOBAL
