from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Batch, Data

from graphpe.errors import GraphPEError
from graphpe.models import CategoricalNodes
from graphpe.models.attention.biases.named_biases import graphormer_bias
from graphpe.models.attention.biases.pair_bias import PairBias
from graphpe.models.graphormer import Graphormer
from graphpe.models.layers.inputs import LinearEdges

WIDTH, HEADS = 8, 2


def count(module: nn.Module | None) -> int:
    return sum(p.numel() for p in module.parameters()) if module is not None else 0


def test_parameters_of_the_published_slim_model() -> None:
    """Graphormer-slim on ZINC: 12 layers of width 80, feed-forward 80: 489,321.

    Of these 470,400 are the layers, 12 x (4 x (80^2 + 80) + 2 x (80^2 + 80) + 2 x 160); 64 x 80 for atoms and for each
    degree, 40 x 8 for distances, 80 + 8 for the virtual node, 81 for the output; the rest, 64 x 8 + 40 x 8 x 8, is the
    edge encoding, which is another function here.
    """
    model = Graphormer(
        node_encoder=CategoricalNodes(80, 64),
        pair_encodings=[
            PairBias("shortest_path", 8, size=39),
            PairBias("path_types", 8, head="path", channels=5 * 4),
        ],
        head=nn.Linear(80, 1),
    )
    assert [count(layer) for layer in model.layers] == [39_200] * 12
    assert count(model.in_degree) == count(model.out_degree) == 64 * 80
    spatial, edges = model.pair_encodings
    assert count(spatial) == 40 * 8  # 39 distances and no path
    assert count(edges) == 20 * 8
    assert model.virtual.numel() + model.virtual_bias.numel() == 88
    last_norm, published_edges = 160, 64 * 8 + 40 * 8 * 8
    assert count(model) - last_norm - count(edges) + published_edges == 489_321


class Fixed(nn.Module):
    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.x = x

    def forward(self, batch: Data) -> Tensor:
        return self.x


def graph(size: int = 5) -> Data:
    place = torch.arange(size)
    steps = torch.stack([place[:-1], place[1:]])
    edge_index = torch.cat([steps, steps.flip(0)[:, :2], torch.tensor([[0], [1]])], 1)  # parallel edges 0 -> 1
    return Data(
        edge_index=edge_index,
        edge_attr=torch.randn(edge_index.shape[1], 3),
        num_nodes=size,
        shortest_path=(place[:, None] - place).abs().view(-1, 1),
    )


def by_hand(model: Graphormer, data: Data, x: Tensor) -> Tensor:
    """The paper's equations for one graph, with matrices [n + 1, n + 1]; the virtual node comes first, as there."""
    n = data.num_nodes
    j, i = data.edge_index
    entering = torch.tensor([int((i == v).sum()) for v in range(n)])
    leaving = torch.tensor([int((j == v).sum()) for v in range(n)])
    x = x + model.in_degree.weight[entering] + model.out_degree.weight[leaving]
    x = torch.cat([model.virtual.unsqueeze(0), x])
    bias = model.virtual_bias.expand(n + 1, n + 1, HEADS).clone()
    table, apart = model.pair_encodings[0].add.function.table.weight, model.pair_encodings[0].add.apart
    rows = torch.cat([table, apart.unsqueeze(0)])
    bias[1:, 1:] = rows[data.shortest_path.view(n, n)]
    features = model.edge_encoder(data) @ model.edge_bias.weight.t()
    for e in range(data.edge_index.shape[1]):
        bias[1 + i[e], 1 + j[e]] = bias[1 + i[e], 1 + j[e]] + features[e]
    for layer in model.layers:
        attention = layer.attention
        h = layer.attention_norm(x)
        q, k = attention.query_key(h).chunk(2, 1)
        v, out = attention.value(h), []
        for head, part in enumerate(torch.arange(WIDTH).chunk(HEADS)):
            logit = q[:, part] @ k[:, part].t() / (WIDTH / HEADS) ** 0.5 + bias[:, :, head]
            out.append(torch.softmax(logit, 1) @ v[:, part])
        x = x + attention.out(torch.cat(out, 1))
        h = layer.feed_forward_norm(x)
        x = x + layer.feed_forward.contract(functional.gelu(layer.feed_forward.expand(h)))
    return model.norm(x)


def build(**options) -> Graphormer:
    model = Graphormer(
        **{"width": WIDTH, "layers": 2, "heads": HEADS, "max_degree": 4, **options},
        edge_encoder=LinearEdges(3, WIDTH),
        pair_encodings=[graphormer_bias(HEADS, 3)],
    ).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model.eval()


def test_is_the_paper_with_a_virtual_node() -> None:
    sizes, x = [5, 3], torch.randn(8, WIDTH, dtype=torch.float64)
    graphs = [graph(size) for size in sizes]
    for data in graphs:
        data.edge_attr = data.edge_attr.double()
        data.shortest_path = data.shortest_path.clamp(max=4)
    batch = Batch.from_data_list(graphs)
    model = build(node_encoder=Fixed(x))
    expected = [by_hand(model, data, part) for data, part in zip(graphs, x.split(sizes), strict=True)]
    torch.testing.assert_close(model(batch), torch.stack([rows[0] for rows in expected]))
    model.readout = "none"
    torch.testing.assert_close(model(batch), torch.cat([rows[1:] for rows in expected]))
    model.readout = "mean"
    torch.testing.assert_close(model(batch), torch.stack([rows[1:].mean(0) for rows in expected]))


def test_biases_go_through_the_kernel_of_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    kernel = functional.scaled_dot_product_attention
    monkeypatch.setattr(
        functional, "scaled_dot_product_attention", lambda *args, **kw: calls.append(args) or kernel(*args, **kw)
    )
    data = graph()
    data.edge_attr = data.edge_attr.double()
    build(node_encoder=Fixed(torch.randn(5, WIDTH, dtype=torch.float64)))(data)
    assert len(calls) == 2  # one for each layer


def test_degrees_beyond_the_table_share_its_last_row() -> None:
    star = Data(edge_index=torch.tensor([[1, 2, 3, 4], [0, 0, 0, 0]]), num_nodes=5)
    model = Graphormer(width=WIDTH, layers=1, heads=HEADS, max_degree=2, node_encoder=nn.Identity())
    found = model._degrees(star, torch.zeros(5, WIDTH))
    expected = model.in_degree.weight[torch.tensor([2, 0, 0, 0, 0])]
    expected = expected + model.out_degree.weight[torch.tensor([0, 1, 1, 1, 1])]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"virtual_node": False}, "readout='virtual' needs virtual_node=True"),
        ({"virtual_node": 1}, "virtual_node must be True or False"),
        ({"max_degree": -1}, "max_degree must be from 0"),
        ({"expansion": 0.5}, "expansion must be an integer"),
    ],
)
def test_bad_arguments(options, message: str) -> None:
    with pytest.raises(GraphPEError, match=message):
        Graphormer(**options, node_encoder=nn.Identity())
