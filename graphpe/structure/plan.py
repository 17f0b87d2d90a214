"""What several encodings of the same graphs share: computed once.

A *part* is a plain function of a plan: `part(plan, *options)`, or `part(plan, size, *options)` where the result for a
larger size holds that for a smaller one (the lowest eigenpairs, the first powers). Encodings announce the sizes that
they need, so that the first to ask gets the largest computed, and all others take their share of it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from graphpe.graphs.packed import PackedGraphs


class Need(NamedTuple):
    """An announcement: `size` of `part(plan, size, *options)` will be asked for; 0 of a part that has no size."""

    part: Callable[..., Any]
    size: int
    options: tuple[Hashable, ...] = ()


class Plan:
    """Graphs, and the parts of their encodings that have been computed.

    Parts live as long as the plan; whoever computes a part must not change it afterwards.

    Args:
        graphs: The graphs; encodings read edges and weights only.
        needs: What will be asked for.
        asked: Pairs of nodes `[2, P]` that encodings of chosen pairs read, by their key; ids counted over all graphs.
    """

    def __init__(
        self, graphs: PackedGraphs, needs: Iterable[Need] = (), asked: Mapping[str, Tensor] | None = None
    ) -> None:
        self.graphs = graphs
        self.asked = dict(asked or {})
        self._announced: dict[Hashable, int] = {}
        self._done: dict[Hashable, Any] = {}
        self._sizes: dict[Hashable, int] = {}
        for need in needs:
            key = need.part, need.options
            self._announced[key] = max(need.size, self._announced.get(key, 0))

    @classmethod
    def of(cls, graphs: PackedGraphs | Plan) -> Plan:
        """A plan for graphs that have none yet.

        Args:
            graphs: Graphs, or a plan, which is returned as it is.
        """
        return graphs if isinstance(graphs, Plan) else cls(graphs)

    def expects(self, part: Callable[..., Any], *options: Hashable) -> bool:
        """Whether the part has been announced or computed: others may then take their share of it at no cost.

        Args:
            part: The function that computes it from a plan.
            options: Its further arguments.
        """
        key = part, options
        return key in self._announced or key in self._done

    def has(self, part: Callable[..., Any], *options: Hashable) -> bool:
        """Whether the part has been computed.

        Args:
            part: The function that computes it from a plan.
            options: Its further arguments.
        """
        return (part, options) in self._done

    def once(self, part: Callable[..., Any], *options: Hashable) -> Any:
        """`part(plan, *options)`, computed at the first call.

        Args:
            part: The function that computes it from a plan.
            options: Its further arguments.
        """
        key = part, options
        if key not in self._done:
            self._done[key] = part(self, *options)
        return self._done[key]

    def up_to(self, part: Callable[..., Any], size: int, *options: Hashable) -> Any:
        """`part(plan, s, *options)` with s the largest size announced, and at least `size`; computed at the first call.

        The caller takes the first `size` of it.

        Args:
            part: The function that computes it from a plan and a size.
            size: The size that the caller needs.
            options: Its further arguments.
        """
        key = part, options
        if self._sizes.get(key, -1) < size:
            self._sizes[key] = max(size, self._announced.get(key, 0))
            self._done[key] = part(self, self._sizes[key], *options)
        return self._done[key]
