"""Errors: one root, and subclasses that are also the built-in type a caller would expect."""

from __future__ import annotations

from typing import Any


class GraphPEError(Exception):
    """Root of every error graphpe raises on purpose.

    A message is one line: what was given, what was expected and what to do.
    """


class GraphPEValueError(GraphPEError, ValueError):
    """A value, shape, key or option is not one that is accepted."""


class GraphRangeError(GraphPEValueError):
    """Values of a graph are beyond what their dtype holds.

    Attributes:
        graph: The number of the graph among those that were given.
        problem: What is wrong with it.
    """

    def __init__(self, graph: int, problem: str) -> None:
        super().__init__(f"graph {graph}: {problem}")
        self.graph, self.problem = graph, problem

    def at(self, graph: int) -> GraphRangeError:
        """The same of the number that the graph has for the caller.

        Args:
            graph: That number.
        """
        return GraphRangeError(graph, self.problem)

    def __reduce__(self) -> tuple[Any, ...]:
        return GraphRangeError, (self.graph, self.problem)


class GraphPETypeError(GraphPEError, TypeError):
    """An argument is of a type that is not accepted."""


class GraphPERuntimeError(GraphPEError, RuntimeError):
    """Something outside the caller's arguments failed: a file, a folder, a computation."""


class EigenError(GraphPERuntimeError):
    """An eigensolver did not converge.

    Attributes:
        result: What it had found by then: an `EigenResult`.
    """

    def __init__(self, message: str, result: Any = None) -> None:
        super().__init__(message)
        self.result = result


class EigenWarning(UserWarning):
    """An eigensolver did not converge, and the caller asked for what there is."""
