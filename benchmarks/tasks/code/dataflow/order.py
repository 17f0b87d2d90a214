"""The order that matters in a block: CFG_NEXT."""

from __future__ import annotations

from typing import NamedTuple

from graphpe.benchmarks.tasks.code.dataflow.program import Scope

READS, ACTS, STOPS, JUMPS = 1, 2, 4, 8
"""Effects: reads, or changes, what names do not show; an effect on control; a jump inside the loop around."""

_WORLD = "*"
"""Stands among the names for everything that names do not show."""


class Statement(NamedTuple):
    """What a statement touches: its node, names read and written, names whose objects a call may write, effects."""

    node: int
    reads: set[str]
    writes: set[str]
    touched: set[str]
    effects: int


class Block(NamedTuple):
    """Statements of one block, the node that it belongs to, and whether that is a loop of which it is the body."""

    header: int
    statements: list[Statement]
    loop: bool


def order_block(block: Block, scope: Scope, edges: list[int]) -> None:
    """Add the CFG_NEXT of a block: the transitive reduction of its order, and what joins it to its header.

    A statement is compared with the last writer and the later readers of each of its names only: pairs further back
    follow from these. The number of comparisons is so that of the names in the statements; what remains to be removed
    is found with one set of ancestors a statement, as bits, counted from the last statement with an effect on control.

    Args:
        block: The block.
        scope: The scope it stands in, complete.
        edges: Pairs of node numbers, one after the other; added to.
    """
    header, statements, loop = block
    if len(statements) == 1:
        node = statements[0].node
        edges += (header, node)
        if loop:
            edges += (node, header)
        return
    bound, shared = scope.bound, scope.written_inside
    open_ends: dict[int, None] = {}  # statements that nothing has come after yet
    writer: dict[str, int] = {}
    readers: dict[str, list[int]] = {}
    ancestors: list[int] = []
    stopped = False
    first = 0  # the statement that the bits of ancestors count from
    for index, (node, reads, writes, touched, effects) in enumerate(statements):
        if effects & (STOPS | JUMPS):
            before, stopped = list(open_ends), True
            writer.clear()
            readers.clear()
            ancestors, first = [0], index
        else:
            if not effects & READS and not (bound.issuperset(reads) and shared.isdisjoint(reads)):
                effects |= READS
            if not effects & ACTS and not (
                bound.issuperset(writes) and shared.isdisjoint(writes) and scope.read_inside.isdisjoint(writes)
            ):
                effects |= ACTS
            found: set[int] = set()
            changed = writes | touched if touched else writes
            if effects & ACTS:
                changed = changed | {_WORLD}
            for name in changed:
                found.update(readers.pop(name, ()))
                if name in writer:
                    found.add(writer[name])
                writer[name] = index
            for name in reads if not effects & READS else reads | {_WORLD}:
                if name in changed:
                    continue
                if name in writer:
                    found.add(writer[name])
                readers.setdefault(name, []).append(index)
            before, known = [], 0
            for other in sorted(found, reverse=True):
                bit = 1 << (other - first)
                if not known & bit:
                    before.append(other)
                    known |= ancestors[other - first] | bit
            if not before and stopped:
                before = [first]
            ancestors.append(known)
        for other in before:
            edges += (statements[other].node, node)
            open_ends.pop(other, None)
        if not before:
            edges += (header, node)
        open_ends[index] = None
    if loop:
        for index in open_ends:
            edges += (statements[index].node, header)
