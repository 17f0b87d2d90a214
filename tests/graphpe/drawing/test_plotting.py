from __future__ import annotations

import os
import subprocess
import sys

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data

from graphpe import plot_encoding
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs


def ring(n: int, **values) -> Data:
    nodes = torch.arange(n)
    return Data(edge_index=torch.stack([nodes, (nodes + 1) % n]), num_nodes=n, **values)


def pixels(figure) -> np.ndarray:
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba()).copy()


def panels(figure) -> list:
    """The axes with a title: no colour bars, no wheels."""
    return [axis for axis in figure.axes if axis.get_title()]


VALUES = {
    "signed": torch.linspace(-1, 2, 6)[:, None].repeat(1, 3),
    "positive": torch.rand(6, 2),
    "constant": torch.zeros(6, 1),
    "phases": torch.polar(torch.rand(6, 2), torch.rand(6, 2) * 6),
    "two": torch.rand(6, 2, 2),
    "colours": torch.tensor([[0], [5], [5], [0], [7], [1]]),
    "flat": torch.rand(6),
}


@pytest.mark.parametrize("key", VALUES)
def test_one_panel_for_each_column(key):
    figure = plot_encoding(ring(6, **{key: VALUES[key]}), key)
    assert len(panels(figure)) == VALUES[key][0].numel()
    assert figure.get_suptitle() == key
    image = pixels(figure)
    assert len(np.unique(image.reshape(-1, 4), axis=0)) > 20  # something is drawn


def test_colours_follow_the_values():
    def node_colours(values):
        figure = plot_encoding(ring(4, own_pe=torch.tensor(values)[:, None]), "own_pe")
        (axis,) = panels(figure)
        return next(c for c in axis.collections if len(c.get_offsets()) == 4 and len(c.get_facecolors()) == 4)

    minus, zero, plus, minus_again = node_colours([-1.0, 0.0, 1.0, -1.0]).get_facecolors()
    assert np.array_equal(minus, minus_again)
    assert minus[2] > minus[0]  # blue
    assert plus[0] > plus[2]  # red
    assert zero[:3].min() > 0.9  # white
    positive, negative = node_colours([1 + 0j, -1 + 0j, 1j, 0j]).get_facecolors()[:2]
    assert positive[0] > 0.9 > positive[1]  # phase 0 is red
    assert negative[0] < 0.1 < negative[1]  # half a turn is cyan


def test_pairs_are_heat_maps_and_graphs_are_bars():
    values = torch.arange(32.0).view(16, 2)
    figure = plot_encoding(ring(4, rrwp=values), "rrwp")
    first, second = panels(figure)
    assert np.array_equal(first.images[0].get_array(), values[:, 0].view(4, 4))
    assert np.array_equal(second.images[0].get_array(), values[:, 1].view(4, 4))
    bars = plot_encoding(ring(4, laplacian_eigenvalues=torch.tensor([[0.5, 1.0, 1.5]])), "laplacian_eigenvalues")
    assert [bar.get_height() for bar in bars.axes[0].patches] == [0.5, 1.0, 1.5]


def test_eigenvalues_are_in_the_titles():
    data = ring(5, laplacian_eigenvector_pe=torch.rand(5, 2), laplacian_eigenvalues=torch.tensor([[0.25, 1.5]]))
    titles = [axis.get_title() for axis in panels(plot_encoding(data, "laplacian_eigenvector_pe"))]
    assert titles == ["0   λ = 0.25", "1   λ = 1.5"]


def test_every_kind_of_input_gives_the_same_picture():
    graphs = [ring(3, own_pe=torch.rand(3, 2)), ring(7, own_pe=torch.rand(7, 2))]
    expected = pixels(plot_encoding(graphs[1], "own_pe"))
    for data in (graphs, Batch.from_data_list(graphs), PackedGraphs.from_data_list(graphs)):
        assert np.array_equal(pixels(plot_encoding(data, "own_pe", 1)), expected)
        assert np.array_equal(pixels(plot_encoding(data, "own_pe", -1)), expected)


def test_a_transform_is_applied_first():
    from graphpe import transforms as T

    graph = nx.petersen_graph()
    figure = plot_encoding(graph, T.LaplacianPE(12), columns=9)
    assert len(panels(figure)) == 9
    assert len(panels(plot_encoding(graph, T.LaplacianPE(12)))) == 8
    assert len(panels(plot_encoding(graph, T.Compose([T.DegreePE()])))) == 2
    with pytest.raises(GraphPEValueError, match="apply it first and name the key to draw"):
        plot_encoding(graph, T.Compose([T.DegreePE(), T.RandomWalkPE(3)]))


@pytest.mark.slow
def test_the_same_places_in_another_process():
    program = (
        "import networkx as nx, numpy as np\n"
        "from graphpe.drawing.node_positions import layout; from graphpe.graphs.packed import PackedGraphs\n"
        "graph = nx.disjoint_union(nx.gnp_random_graph(20, 0.2, seed=3), nx.star_graph(4))\n"
        "text = np.round(layout(PackedGraphs.from_networkx(graph)), 6).tolist()"
    )
    here: dict = {}
    exec(program, here)
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", program + "\nprint(text)"]
    there = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    assert there.strip() == str(here["text"])


@pytest.mark.parametrize("n", [0, 1, 2])
def test_smallest_graphs(n):
    data = Data(edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=n, own_pe=torch.zeros(n, 2))
    assert len(panels(plot_encoding(PackedGraphs.from_data(data, levels={"own_pe": "node"}), "own_pe"))) == 2
    pixels(plot_encoding(PackedGraphs.from_data(data, levels={"own_pe": "node"}), "own_pe"))


def test_nothing_is_registered_with_pyplot():
    import matplotlib.pyplot as plt

    plot_encoding(ring(3, own_pe=torch.rand(3, 1)), "own_pe")
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((ring(3), "own_pe"), GraphPEValueError, "the graph has no 'own_pe' to draw: it has no values"),
        ((ring(3, other=torch.rand(3)), "own_pe"), GraphPEValueError, "no 'own_pe' to draw: it has 'other'"),
        ((ring(3, edge_attr=torch.rand(3)), "edge_attr"), GraphPEValueError, "'edge_attr' is a value of edges"),
        (([ring(3)], "own_pe", 1), GraphPEValueError, "index must be below the number of graphs, 1, got 1"),
        ((7, "own_pe"), GraphPETypeError, "takes a PyG or networkx graph, PackedGraphs or a dataset, got int"),
    ],
)
def test_errors(arguments, error, message):
    with pytest.raises(error, match=message):
        plot_encoding(*arguments)


def test_number_of_columns():
    with pytest.raises(GraphPEValueError, match=r"columns must be from 1 to 2 for 'own_pe' of shape \(3, 2\), got 3"):
        plot_encoding(ring(3, own_pe=torch.rand(3, 2)), "own_pe", columns=3)


@pytest.mark.parametrize("columns", [1, 4, 6])
@pytest.mark.parametrize(
    "graph",
    [
        nx.path_graph(12),
        nx.cycle_graph(9),
        nx.star_graph(8),
        nx.complete_graph(7),
        nx.balanced_tree(2, 4),
        nx.Graph([(0, 1)]),
    ],
    ids=["path", "cycle", "star", "complete", "tree", "edge"],
)
def test_no_wheel_covers_a_node(graph, columns):
    edges = torch.tensor(list(graph.edges)).t()
    values = torch.polar(torch.ones(len(graph), columns), torch.rand(len(graph), columns))
    figure = plot_encoding(Data(edge_index=edges, num_nodes=len(graph), phases=values), "phases")
    figure.canvas.draw()
    wheels = [child.get_window_extent() for axis in panels(figure) for child in axis.child_axes]
    assert len(wheels) == columns
    assert min(wheel.width for wheel in wheels) > 20  # pixels
    for axis in panels(figure):
        nodes = next(c for c in axis.collections if len(c.get_offsets()) == len(graph) and len(c.get_sizes()))
        radius = nodes.get_sizes()[0] ** 0.5 / 2 * figure.dpi / 72
        for x, y in axis.transData.transform(nodes.get_offsets()):
            assert not any(
                wheel.x0 - radius < x < wheel.x1 + radius and wheel.y0 - radius < y < wheel.y1 + radius
                for wheel in wheels
            )
