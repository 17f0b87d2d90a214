from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch_geometric.data import Data

from graphpe.errors import GraphPEValueError
from graphpe.models.layers.inputs import (
    ASTNodeEncoder,
    CategoricalEdges,
    CategoricalNodes,
    LinearEdges,
    LinearNodes,
    SinusoidalNodes,
)


def test_linear_edges(make_batch) -> None:
    batch = make_batch([4, 3])
    encoder = LinearEdges(2, 6)
    torch.testing.assert_close(encoder(batch), encoder.linear(batch.edge_attr))
    batch.edge_attr = batch.edge_attr.long()
    torch.testing.assert_close(encoder(batch), encoder.linear(batch.edge_attr.float()))


@pytest.mark.parametrize("columns", [1, 3])
def test_categorical_edges_and_nodes(columns: int) -> None:
    counts = [4, 2, 5][:columns]
    ids = torch.stack([torch.randint(0, c, (20,)) for c in counts], dim=1)
    data = Data(x=ids, edge_attr=ids, edge_index=torch.zeros(2, 20, dtype=torch.long))
    for encoder in (CategoricalEdges(6, counts), CategoricalNodes(6, counts)):
        tables = encoder.table.embedding.weight.split(counts)
        expected = sum(table[ids[:, c]] for c, table in enumerate(tables))
        torch.testing.assert_close(encoder(data), expected)


def test_one_column_may_be_a_vector_and_its_count_a_number() -> None:
    ids = torch.randint(0, 28, (9,))
    nodes = CategoricalNodes(4, 28)
    torch.testing.assert_close(nodes(Data(x=ids)), nodes(Data(x=ids.unsqueeze(1))))
    assert sum(p.numel() for p in nodes.parameters()) == 28 * 4


@pytest.mark.parametrize("encoder", [LinearEdges(2, 6), CategoricalEdges(6, 2), CategoricalEdges(6, [2, 2])])
def test_factors_give_the_same_projection(make_batch, encoder) -> None:
    batch = make_batch([4, 3])
    batch.edge_attr = batch.edge_attr.long()
    if isinstance(encoder, CategoricalEdges):
        batch.edge_attr = batch.edge_attr[:, : encoder.table.offset.numel()]
    linear = nn.Linear(6, 5, bias=False)
    torch.testing.assert_close(encoder.factors(batch).map(linear), linear(encoder(batch)))


def test_ast_node_encoder_sums_three_embeddings_and_leaves_the_batch(make_batch) -> None:
    batch = make_batch([40])
    depth = batch.node_depth.clone()
    assert int(depth.max()) > 20, "a depth that is clamped"
    encoder = ASTNodeEncoder(6, 7, 7, max_depth=20)
    weights = [e.weight for e in (encoder.type_embedding, encoder.attribute_embedding, encoder.depth_embedding)]
    expected = weights[0][batch.x[:, 0]] + weights[1][batch.x[:, 1]] + weights[2][depth[:, 0].clamp(max=20)]
    torch.testing.assert_close(encoder(batch), expected)
    assert torch.equal(batch.node_depth, depth)
    batch.node_depth = depth.squeeze(1)
    torch.testing.assert_close(encoder(batch), expected)


def test_errors(make_batch) -> None:
    batch = make_batch([4])
    with pytest.raises(GraphPEValueError, match="no tensor `edge_attr`"):
        LinearEdges(2, 6)(Data(x=batch.x))
    with pytest.raises(GraphPEValueError, match=r"edge_attr has shape \[12, 2\].*3 columns"):
        LinearEdges(3, 6)(batch)
    with pytest.raises(GraphPEValueError, match="integer categories"):
        CategoricalEdges(6, [2, 2])(batch)
    with pytest.raises(GraphPEValueError, match="categories"):
        CategoricalNodes(6, [])
    with pytest.raises(GraphPEValueError, match="max_depth must be from 1 on"):
        ASTNodeEncoder(6, 7, 7, max_depth=0)


def test_words_of_attributes_are_added() -> None:
    encoder = ASTNodeEncoder(6, 7, 9, unknown=4, attribute_dropout=0.25, words=5, words_of_node=3)
    n = 4000
    words = torch.randint(6, (n, 3))  # 5 fills up
    data = Data(x=torch.tensor([[1, 2]]).expand(n, 2), node_depth=torch.zeros(n, dtype=torch.long), node_words=words)
    plain = encoder.type_embedding.weight[1] + encoder.depth_embedding.weight[0]
    table = torch.cat([encoder.word_embedding.weight[:5], torch.zeros(1, 6)])
    known = plain + encoder.attribute_embedding.weight[2] + table[words].sum(1)
    encoder.eval()
    torch.testing.assert_close(encoder(data), known)
    encoder.train()
    out = encoder(data)
    gone = (out - (plain + encoder.attribute_embedding.weight[4])).abs().amax(1) < 1e-5  # the attribute and its words
    torch.testing.assert_close(out[~gone], known[~gone])
    assert 0.2 < gone.float().mean() < 0.3
    out.sum().backward()
    assert (encoder.word_embedding.weight.grad[5] == 0).all()
    data.node_words = torch.tensor([[0, 6, 0]]).expand(n, 3)
    with pytest.raises(GraphPEValueError, match=r"node_words\[0, 1\] is 6, .* ids from 0 to 5"):
        encoder(data)


def test_attribute_dropout_replaces_attributes_by_unknown_in_training_only() -> None:
    encoder = ASTNodeEncoder(6, 7, 9, unknown=4, attribute_dropout=0.25)
    n = 4000
    batch = Data(x=torch.stack([torch.full((n,), 2), torch.randint(9, (n,))], 1), node_depth=torch.zeros(n, 1).long())
    unknown = Data(x=torch.tensor([[2, 4]]).expand(n, 2), node_depth=batch.node_depth)
    kept = encoder.eval()(batch)
    out = encoder.train()(batch)
    is_kept = (out == kept).all(dim=1)
    assert torch.equal(out[~is_kept], encoder.eval()(unknown)[~is_kept])
    known = batch.x[:, 1] != 4
    assert (~is_kept)[known].float().mean() == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("options", [{"unknown": 9}, {"unknown": -1}, {"attribute_dropout": 1.0}])
def test_impossible_attribute_dropout(options: dict[str, float]) -> None:
    with pytest.raises(GraphPEValueError, match=next(iter(options))):
        ASTNodeEncoder(6, 7, 9, **options)  # type: ignore[arg-type]


def test_numeric_nodes_are_a_linear_map() -> None:
    encoder = LinearNodes(3, 5)
    x = torch.randn(7, 3, dtype=torch.float64)
    expected = x.float() @ encoder.linear.weight.t() + encoder.linear.bias
    torch.testing.assert_close(encoder(Data(x=x)), expected)
    with pytest.raises(GraphPEValueError, match=r"batch.x has shape \[7, 2\]"):
        encoder(Data(x=torch.zeros(7, 2)))


def test_sinusoidal_nodes() -> None:
    encoder = SinusoidalNodes(4, columns=2, largest=26.0, frequencies=3)
    x = torch.tensor([[0, 5], [17, 2]])
    scales = [1.0, 26**0.5, 26.0]
    rows = [
        [function(number / scale) for number in row for function in (math.sin, math.cos) for scale in scales]
        for row in x.tolist()
    ]
    torch.testing.assert_close(encoder(Data(x=x)), encoder.linear(torch.tensor(rows)))
    with pytest.raises(GraphPEValueError, match="largest must be from 1 on"):
        SinusoidalNodes(4, 2, 0.5)
