"""Homomorphisms that are enumerated: cliques, and the cores of patterns of treewidth 3 and more."""

from __future__ import annotations

import numpy as np

from graphpe.compiled.jit import compiled
from graphpe.homomorphisms.tables import Numbers
from graphpe.structure.adjacency import Ints


@compiled
def cliques_through(
    indptr: Ints, indices: Ints, weight: Numbers, size: int, most: float, most_steps: int
) -> tuple[Numbers, int, int]:
    """The cliques of so many nodes that each node is in, times the weights of their nodes.

    Nodes are put into the order in which each has the fewest neighbours behind it (Matula and Beck 1983): cliques are
    found once, from their first node on, in O(E k^(size - 2)) steps with k the largest core number of the graph.

    Args:
        indptr: Of the neighbours of each node, without loops.
        indices: The neighbours, ascending.
        weight: Of each node, `[N]`.
        size: Nodes of a clique, at least 3.
        most: The largest number.
        most_steps: Steps that may be taken.

    Returns:
        The numbers, the first node where one is too large, and a node at which there were too many steps (-1: none).
    """
    count = len(indptr) - 1
    out = np.zeros_like(weight)
    rank = _degeneracy_ranks(indptr, indices)
    level = np.zeros(count, np.int64)  # how many of the chosen nodes a node is behind and joined to
    width = 0
    for u in range(count):
        width = max(width, indptr[u + 1] - indptr[u])
    behind = np.empty((size, width), np.int64)
    length = np.zeros(size, np.int64)
    at = np.zeros(size, np.int64)
    chosen = np.empty(size, np.int64)
    product, total = np.empty(size, weight.dtype), np.zeros(1, weight.dtype)
    steps = 0
    for root in range(count):
        chosen[0], product[0], depth = root, weight[root], 0
        length[0], at[0] = 0, 0
        for e in range(indptr[root], indptr[root + 1]):
            if rank[indices[e]] > rank[root]:
                behind[0, length[0]] = indices[e]
                level[indices[e]] = 1
                length[0] += 1
        while depth >= 0:
            if depth == size - 2:  # every node behind all that are chosen makes a clique
                total[0] = 0
                for i in range(length[depth]):
                    v = behind[depth, i]
                    out[v] += product[depth] * weight[v]
                    total[0] += product[depth] * weight[v]
                    if out[v] > most:
                        return out, v, -1
                for i in range(depth + 1):
                    out[chosen[i]] += total[0]
                    if out[chosen[i]] > most:
                        return out, chosen[i], -1
                at[depth] = length[depth]
            if at[depth] == length[depth]:
                for i in range(length[depth]):
                    level[behind[depth, i]] = depth
                depth -= 1
                continue
            v = behind[depth, at[depth]]
            at[depth] += 1
            ahead = depth + 1
            chosen[ahead], product[ahead] = v, product[depth] * weight[v]
            length[ahead], at[ahead] = 0, 0
            for e in range(indptr[v], indptr[v + 1]):
                w = indices[e]
                steps += 1
                if rank[w] > rank[v] and level[w] == depth + 1:
                    behind[ahead, length[ahead]] = w
                    level[w] = depth + 2
                    length[ahead] += 1
            if steps > most_steps:
                return out, -1, root
            depth = ahead
    return out, -1, -1


@compiled
def _degeneracy_ranks(indptr: Ints, indices: Ints) -> Ints:
    """The place of each node in the order in which a node of the smallest degree is taken away, again and again."""
    count = len(indptr) - 1
    degree = indptr[1:] - indptr[:-1]
    largest = 0
    for u in range(count):
        largest = max(largest, degree[u])
    start = np.zeros(largest + 2, np.int64)  # of the nodes of each degree, in `order`
    for u in range(count):
        start[degree[u] + 1] += 1
    for d in range(largest + 1):
        start[d + 1] += start[d]
    order, place = np.empty(count, np.int64), np.empty(count, np.int64)
    filled = start.copy()
    for u in range(count):
        place[u] = filled[degree[u]]
        order[place[u]] = u
        filled[degree[u]] += 1
    for i in range(count):
        u = order[i]
        for e in range(indptr[u], indptr[u + 1]):
            v = indices[e]
            if degree[v] > degree[u]:  # it moves to the front of those of its degree, and that front moves by one
                first = order[start[degree[v]]]
                if first != v:
                    order[place[v]], order[start[degree[v]]] = first, v
                    place[first], place[v] = place[v], start[degree[v]]
                start[degree[v]] += 1
                degree[v] -= 1
    return place


@compiled
def core_counts(
    joined: Ints, vectors: Numbers, pointers: Ints, indices: Ints, values: Numbers, most: float, most_steps: int
) -> tuple[Numbers, int, int]:
    """Sums over the maps of a core's nodes: products of numbers of nodes and of pairs, by the image of the first.

    Depth first, from the image of the first node on: the image of each next one is among the columns of a table in the
    row of one before it, and is looked for in the other tables that join it. O(N d^(nodes - 1)) steps.

    Args:
        joined: The pairs (a, b), a < b, of the core's nodes that a table joins, in the order of b, and the number of
            the table: `[T, 3]`.
        vectors: Numbers of each further node's images, `[nodes - 1, N]`.
        pointers: Of the rows of each table among `indices` and `values`, `[tables, N + 1]`.
        indices: Columns of all tables, ascending in each row.
        values: Their numbers.
        most: The largest number.
        most_steps: Steps that may be taken.

    Returns:
        The sums `[N]`, the first node where one is too large, and a node at which there were too many steps (-1: none).
    """
    count, nodes = vectors.shape[1], len(vectors) + 1
    out = np.zeros(count, values.dtype)
    first = np.zeros(nodes + 1, np.int64)  # of the tables that join each node to those before it
    for t in range(len(joined)):
        first[joined[t, 1] + 1] += 1
    for i in range(nodes):
        first[i + 1] += first[i]
    image, edge, stop = np.empty(nodes, np.int64), np.empty(nodes, np.int64), np.empty(nodes, np.int64)
    product = np.ones(nodes, values.dtype)
    steps = 0
    for root in range(count):
        image[0], depth = root, 1
        table = joined[0, 2]
        edge[1], stop[1] = pointers[table, root], pointers[table, root + 1]
        while depth:
            if edge[depth] == stop[depth]:
                depth -= 1
                continue
            e = edge[depth]
            edge[depth] += 1
            steps += 1
            if steps > most_steps:
                return out, -1, root
            v = indices[e]
            if float(product[depth - 1]) * float(values[e]) > most:
                return out, root, -1
            number = product[depth - 1] * values[e]
            if float(number) * float(vectors[depth - 1, v]) > most:
                return out, root, -1
            number = number * vectors[depth - 1, v]
            for t in range(first[depth] + 1, first[depth + 1]):
                if number > 0:
                    table, row = joined[t, 2], image[joined[t, 0]]
                    low, high = pointers[table, row], pointers[table, row + 1]
                    while low < high:
                        middle = (low + high) // 2
                        if indices[middle] < v:
                            low = middle + 1
                        else:
                            high = middle
                    if low < pointers[table, row + 1] and indices[low] == v:
                        if float(number) * float(values[low]) > most:
                            return out, root, -1
                        number = number * values[low]
                    else:
                        number = number * 0
            if number == 0:
                continue
            if depth == nodes - 1:
                out[root] += number
                if out[root] < 0 or out[root] > most:
                    return out, root, -1
                continue
            product[depth], image[depth] = number, v
            depth += 1
            table, above = joined[first[depth], 2], image[joined[first[depth], 0]]
            edge[depth], stop[depth] = pointers[table, above], pointers[table, above + 1]
    return out, -1, -1
