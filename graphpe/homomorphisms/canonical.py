"""Which small graphs are the same: one labelling for all graphs that are isomorphic, and how many automorphisms.

Individualisation and refinement: nodes are divided by colours that isomorphisms keep; where that leaves several of one
colour, each of them is given a colour of its own in turn, and the smallest list of edges that results is the one
labelling. Of twins (nodes with the same neighbours, each other aside) one is enough, so that stars and cliques cost
nothing. Made for patterns: tens of nodes.
"""

from __future__ import annotations

from functools import lru_cache

Edge = tuple[int, int]
Edges = tuple[Edge, ...]


@lru_cache(maxsize=1 << 16)
def canonical(num_nodes: int, edges: Edges, colours: tuple[int, ...]) -> tuple[tuple[int, ...], Edges]:
    """The colours and edges of the one labelling: equal for two graphs exactly if they are isomorphic.

    Args:
        num_nodes: Nodes of the graph.
        edges: Its edges, pairs of numbers from 0 on.
        colours: Of each node; isomorphisms keep them. Nodes are labelled in their order.
    """
    place = min(_labellings(_neighbours(num_nodes, edges), list(colours)), key=lambda place: _moved(edges, place))
    return tuple(sorted(colours)), _moved(edges, place)


@lru_cache(maxsize=1 << 12)
def orbits(num_nodes: int, edges: Edges) -> tuple[tuple[int, ...], ...]:
    """The nodes, by what the automorphisms map to each other; in ascending order, as are the nodes of each.

    Args:
        num_nodes: Nodes of the graph.
        edges: Its edges.
    """
    found: dict[object, list[int]] = {}
    for node in range(num_nodes):
        colours = tuple(int(other != node) for other in range(num_nodes))
        found.setdefault(canonical(num_nodes, edges, colours), []).append(node)
    return tuple(map(tuple, found.values()))


def automorphisms(num_nodes: int, edges: Edges, colours: tuple[int, ...]) -> int:
    """The number of automorphisms that keep the colours: products of the sizes of orbits, a node fixed after another.

    Args:
        num_nodes: Nodes of the graph.
        edges: Its edges.
        colours: Of each node.
    """
    refined = _refined(_neighbours(num_nodes, edges), list(colours))
    cell = _first_shared(refined)
    if not cell:
        return 1
    fixed = [tuple(_individual(refined, node)) for node in cell]
    forms = [canonical(num_nodes, edges, each) for each in fixed]
    return forms.count(forms[0]) * automorphisms(num_nodes, edges, fixed[0])


def _neighbours(num_nodes: int, edges: Edges) -> list[set[int]]:
    out: list[set[int]] = [set() for _ in range(num_nodes)]
    for a, b in edges:
        out[a].add(b)
        out[b].add(a)
    return out


def _labellings(neighbours: list[set[int]], colours: list[int]) -> list[list[int]]:
    """The candidates: places of the nodes."""
    refined = _refined(neighbours, colours)
    cell = _first_shared(refined)
    if not cell:
        return [refined]
    chosen: list[int] = []
    for node in cell:
        if not any(neighbours[node] - {twin} == neighbours[twin] - {node} for twin in chosen):
            chosen.append(node)
    return [place for node in chosen for place in _labellings(neighbours, _individual(refined, node))]


def _refined(neighbours: list[set[int]], colours: list[int]) -> list[int]:
    """Colours, finer and finer by those of the neighbours: numbered from 0 on, in an order that isomorphisms keep."""
    count = 0
    while True:
        seen = [(colours[node], sorted(colours[other] for other in near)) for node, near in enumerate(neighbours)]
        number = {str(key): i for i, key in enumerate(sorted(seen))}  # the last place of each: cells keep their order
        colours = [number[str(key)] for key in seen]
        if len(number) == count:
            return colours
        count = len(number)


def _first_shared(colours: list[int]) -> list[int]:
    """The nodes of the first colour that several have; none if there is no such."""
    shared = [colour for colour in set(colours) if colours.count(colour) > 1]
    return [node for node, colour in enumerate(colours) if shared and colour == min(shared)]


def _individual(colours: list[int], node: int) -> list[int]:
    """The colours, with that of one node just before those that it had it in common with."""
    return [2 * colour - (other == node) for other, colour in enumerate(colours)]


def _moved(edges: Edges, place: list[int]) -> Edges:
    return tuple(sorted((min(place[a], place[b]), max(place[a], place[b])) for a, b in edges))
