"""What happened on the pretended accelerator: operations, waits, copies, each with the line that asked for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, get_args

Kind = Literal["mixing", "no kernel", "sync", "copy", "float64", "nondeterministic"]
"""`mixing`: operands on several devices. `no kernel`: CUDA has none. `sync`: the host waits. `copy`: from the host,
without a wait. `float64`: arithmetic in double precision. `nondeterministic`: sums by atomic additions."""


@dataclass(frozen=True)
class Event:
    """Something to know of an operation.

    Attributes:
        kind: What.
        op: Its name.
        where: The line of the program, `file:line`.
        detail: More about it.
    """

    kind: Kind
    op: str
    where: str
    detail: str = ""


@dataclass
class Seen:
    """All that happened.

    Attributes:
        events: In their order.
        calls: Operations that would launch a kernel, by name.
        unknown: Operations that are not ATen's, of which it is not known whether CUDA has a kernel.
        bytes: What the kernels would read and write.
        moved: Bytes between host and device.
    """

    events: list[Event] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    moved: dict[str, int] = field(default_factory=lambda: {"to device": 0, "to host": 0})

    def of(self, *kinds: Kind) -> list[Event]:
        """Events of some kinds."""
        return [event for event in self.events if event.kind in kinds]

    @property
    def syncs(self) -> list[Event]:
        """What the host waits for."""
        return self.of("sync")

    @property
    def kernels(self) -> int:
        """Operations that would be kernels."""
        return sum(self.calls.values())

    def lines(self, *kinds: Kind) -> list[str]:
        """Events by place, the most frequent first."""
        places = Counter((event.kind, event.op, event.where, event.detail) for event in self.of(*kinds))
        return [
            f"{number:>5} x {kind}: {op} at {where}{f' ({detail})' if detail else ''}"
            for (kind, op, where, detail), number in places.most_common()
        ]

    def report(self) -> str:
        """Everything, as text."""
        head = f"{self.kernels} kernels, {self.bytes / 1e6:.1f} MB read and written, {len(self.syncs)} syncs"
        return "\n".join([head, *self.lines(*get_args(Kind))])
