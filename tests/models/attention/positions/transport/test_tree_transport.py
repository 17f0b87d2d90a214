from __future__ import annotations

from itertools import pairwise

import networkx as nx
import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data

import graphpe.models as M
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.padding import padded_nodes
from graphpe.models.attention.positions.node_positions import Attending, Placed
from graphpe.models.attention.positions.rotations.orthogonal import rotation
from graphpe.models.attention.positions.transport.path import PaTH
from graphpe.models.attention.positions.transport.tree_transport import TreeTransport
from graphpe.models.attention.softmax import tree_mask
from graphpe.models.attention.softmax.linear import linear_attention
from graphpe.models.batches.nodes import node_to_graph

WIDTH = 16

# An own tree of syntax 0 -> (1 -> (2, 3), 4 -> 5), another tree, and a node alone.
EDGES = torch.tensor([[0, 1, 0, 1, 4, 6, 6, 6], [1, 2, 4, 3, 5, 7, 8, 9]])
SIZE = 11


def step_maps(positions: TreeTransport, data: Data) -> dict[tuple[int, int], Tensor]:
    """The map `[H, blocks, b, b]` of each step (parent, child), by what the edges say."""
    maps, seen = rotation(positions.skew), {}
    out = {}
    for e, (a, b) in enumerate(data.edge_index.T.tolist()):
        if positions.steps == "type":
            out[a, b] = maps[int(data.kind[e])]
        elif positions.steps == "order":
            out[a, b] = maps[min(seen.get(a, 0), positions.maps - 1)]
            seen[a] = seen.get(a, 0) + 1
        else:
            out[a, b] = maps[0]
    return out


@pytest.mark.parametrize("steps", ["direction", "order", "type"])
@pytest.mark.parametrize("tree", ["edges", "shortest"])
def test_is_the_product_along_every_path(steps, tree, attend, inputs, heads_of) -> None:
    data = Data(edge_index=EDGES, num_nodes=SIZE, kind=torch.randint(0, 2, (8, 3)))
    data.kind = data.kind[:, 0]
    if steps == "order" and tree == "shortest":
        data.edge_index = EDGES[:, 5:] - 6  # a star: there the order of children is that of its edges from any root
        data.num_nodes = 4
    size = data.num_nodes
    q, k, v, x = inputs(size, WIDTH)
    positions = TreeTransport(WIDTH, 2, steps=steps, tree=tree, maps=2, type_key="kind").double()
    logits, out = attend(positions, data, q, k, v, x)
    graph = nx.from_edgelist(data.edge_index.T.tolist())
    graph.add_nodes_from(range(size))
    step = step_maps(positions, data)
    hq, hk, hv = (heads_of(p).unflatten(2, (-1, 4)) for p in (q, k, v))
    moved = torch.zeros(2, size, size, 2, 4, dtype=torch.float64)  # values of j at i
    joined = torch.zeros(size, size, dtype=torch.bool)
    for i in range(size):
        for j, way in nx.single_source_shortest_path(graph, i).items():
            total = torch.eye(4, dtype=torch.float64).expand(2, 2, 4, 4)
            for a, b in pairwise(way):
                total = total @ (step[a, b] if (a, b) in step else step[b, a].mT)
            moved[:, i, j] = torch.einsum("hkab,hkb->hka", total, hv[:, j])
            expected = torch.einsum("hka,hkab,hkb->h", hq[:, i], total, hk[:, j])
            torch.testing.assert_close(logits[:, i, j], expected)
            joined[i, j] = True
    if bool(joined.all()):
        weight = torch.softmax(logits / 8**0.5, 2)
        result = torch.einsum("hij,hijkb->hikb", weight, moved)
        torch.testing.assert_close(out, result.flatten(2).transpose(0, 1).reshape(size, WIDTH))


def test_is_rope_in_planes_on_a_directed_path_from_any_root(path, attend, inputs) -> None:
    """b = 2: rotations by learned angles. The root of `shortest` is inside of the path, that of `edges` its first."""
    size = 8
    q, k, v, x = inputs(size, WIDTH)
    positions = TreeTransport(WIDTH, 2, block=2).double()
    logits, out = attend(positions, path(size), q, k, v, x)
    skew = (positions.skew - positions.skew.mT)[0, :, :, 1, 0]  # [H, planes]
    angle = skew.flatten()
    place = torch.arange(size, dtype=torch.float64)[:, None]
    zq, zk = (
        (torch.view_as_complex(p.reshape(size, -1, 2)) * torch.exp(1j * place * angle)).unflatten(1, (2, 4))
        for p in (q, k)
    )
    torch.testing.assert_close(logits, torch.einsum("ihc,jhc->hij", zq.conj(), zk).real)
    positions.tree = "edges"
    torch.testing.assert_close(attend(positions, path(size), q, k, v, x), (logits, out))


def test_reversing_all_edges_conjugates_and_directions_hold_beside_the_tree(attend, inputs, mirror) -> None:
    """A square 0 -> 1 -> 3, 0 -> 2 -> 3 is balanced: the edge that the tree leaves out has the angle of the others."""
    edges = torch.tensor([[0, 1, 0, 2], [1, 3, 2, 3]])
    q, k, v, x = inputs(4, WIDTH)
    positions = TreeTransport(WIDTH, 2, block=2).double()
    logits, out = attend(positions, Data(edge_index=edges, num_nodes=4), q, k, v, x)
    back = attend(positions, Data(edge_index=edges.flip(0), num_nodes=4), mirror(q), mirror(k), mirror(v), x)
    torch.testing.assert_close((back[0], mirror(back[1])), (logits, out))
    one = torch.ones_like(q)
    same = attend(positions, Data(edge_index=edges, num_nodes=4), one, one, v, x)[0]
    for a, b in edges.T.tolist():
        torch.testing.assert_close(same[:, a, b], same[:, 0, 1])


def test_renumbered_nodes(attend, inputs) -> None:
    data = Data(edge_index=EDGES, num_nodes=SIZE)
    given = inputs(SIZE, WIDTH)
    positions = TreeTransport(WIDTH, 2, steps="order", tree="edges").double()
    _, out = attend(positions, data, *given)
    order = torch.randperm(SIZE)
    place = torch.empty_like(order)
    place[order] = torch.arange(SIZE)
    moved = Data(edge_index=place[EDGES], num_nodes=SIZE)
    torch.testing.assert_close(attend(positions, moved, *(p[order] for p in given))[1], out[order])


def test_values_may_stay(path, attend, inputs) -> None:
    q, k, v, x = inputs(4, WIDTH)
    positions = TreeTransport(WIDTH, 2, values=False).double()
    logits, out = attend(positions, path(4), q, k, v, x)
    weight = torch.softmax(logits / 8**0.5, 2)
    torch.testing.assert_close(out, (weight @ v.view(4, 2, 8).transpose(0, 1)).transpose(0, 1).reshape(4, WIDTH))


def test_inside_linear_attention(heads_of, inputs) -> None:
    """Numerators with features of both nodes transported, values too; denominators without."""
    data = Data(edge_index=EDGES, num_nodes=SIZE)
    q, k, v, x = inputs(SIZE, WIDTH)
    positions = TreeTransport(WIDTH, 2, steps="order", tree="edges").double()
    members = node_to_graph(data)
    t = positions.prepare(data, Attending(members, SIZE))
    found = linear_attention(q, k, v, padded_nodes(members), heads=2, positions=[Placed(positions, t)], x=x)
    move = torch.einsum("ihkba,jhkbc->hijkac", t, t)
    fq, fk = (heads_of(torch.nn.functional.elu(p) + 1) for p in (q, k))
    bq, bk, bv = (p.unflatten(2, (-1, 4)) for p in (fq, fk, heads_of(v)))
    weight = torch.einsum("hika,hijkac,hjkc->hij", bq, move, bk) / (fq @ fk.mT).sum(2, keepdim=True)
    expected = torch.einsum("hij,hijkac,hjkc->hika", weight, move, bv)
    torch.testing.assert_close(found, expected.flatten(2).transpose(0, 1).reshape(SIZE, WIDTH))


def test_under_masks_of_trees_with_and_without_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    data = Data(x=torch.randn(SIZE, 3), edge_index=EDGES)
    positions = [TreeTransport(WIDTH, 2, tree="edges"), PaTH(WIDTH, 2)]
    model = M.TopologicalTransformer(
        width=WIDTH, heads=2, layers=2, node_encoder=M.LinearNodes(3, WIDTH), positions=positions
    ).double()
    data.x = data.x.double()
    dense = model(data)
    monkeypatch.setattr(tree_mask, "DENSE_NODES", 0)
    torch.testing.assert_close(model(data), dense)


def test_errors(path, attend, inputs) -> None:
    with pytest.raises(GraphPEValueError, match=r"multiple of 3 \* heads"):
        TreeTransport(WIDTH, 2, block=3)
    positions = TreeTransport(WIDTH, 2, steps="type", maps=2, type_key="kind")
    with pytest.raises(GraphPEValueError, match="must hold types of edges"):
        attend(positions, path(3), *inputs(3, WIDTH))
    data = path(3)
    data.kind = torch.tensor([0, 5])
    with pytest.raises(GraphPEValueError, match="types from 0 to 5"):
        attend(positions, data, *inputs(3, WIDTH))
    data.kind = torch.tensor([0.2, 0.7])
    with pytest.raises(GraphPEValueError, match="must be integers for steps='type'"):
        attend(positions, data, *inputs(3, WIDTH))
