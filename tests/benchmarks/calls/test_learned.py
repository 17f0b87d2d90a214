"""Encodings that a model makes itself, by text: built, shown, refused where there is no model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch_geometric.data import Batch, Data

from graphpe import models as M
from graphpe.benchmarks.calls import catalogue
from graphpe.benchmarks.calls.build import (
    build_encodings,
    build_model,
    canonical_encodings,
    check_built,
    find_encoding,
    split_encodings,
    stored_encodings,
)
from graphpe.benchmarks.calls.own import imported
from graphpe.benchmarks.calls.parts import Learned, canonical_encoder, without_encoder
from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.errors import GraphPEValueError

ADAPTER = GraphAdapter((6, 3), (4,), 2, "squared")
TEXTS = [
    "PEARLEncoding(samples=4)",
    "RandomWalkPE(3)",
    "conditional-encoding(layers=1)",
    "FourierFeatures(key='pos', channels=2)",
]


def batch() -> Batch:
    graphs = []
    for size in (4, 1, 3):
        edges = torch.randint(size, (2, 5))
        data = Data(x=torch.randint(3, (size, 2)), edge_index=edges, edge_attr=torch.randint(4, (5, 1)), num_nodes=size)
        data.pos, data.random_walk_pe = torch.randn(size, 2), torch.rand(size, 3)
        graphs.append(data)
    return Batch.from_data_list(graphs)


@pytest.mark.parametrize("encoding_width", [0, 2])
def test_they_stand_among_the_others_in_their_order(encoding_width: int) -> None:
    encodings = build_encodings(TEXTS)
    model = build_model("GPS(width=16, layers=1)", ADAPTER, encodings, encoding_width=encoding_width)
    check_built(model, "GPS(width=16, layers=1)", encodings)
    modules = model.node_encoder.encodings if encoding_width else model.encodings
    kinds = [M.PEARLEncoding, M.LinearEncoding, M.ConditionalEncoding, M.FourierFeatures]
    assert [type(each) for each in modules] == kinds
    assert (modules[0].samples, modules[2].layers, modules[3].channels) == (4, 1, 2)
    assert model(batch()).isfinite().all()
    assert split_encodings(encodings) == ([encodings[1]], [])
    assert without_encoder(model, encodings, "EigenvectorEncoding") == []
    (line,) = without_encoder(model, encodings[:1], "FourierFeatures()")
    assert "reads real values of nodes, and no encoding here has any" in line


def test_texts_in_full_name_every_argument_and_build_the_same() -> None:
    texts = canonical_encodings(TEXTS)
    assert texts[0] == "PEARLEncoding(features='random', samples=4, hidden=32, layers=4, directed=False, seed=0)"
    assert texts[2] == "ConditionalEncoding(hidden=32, layers=1, directed=False)"
    assert texts[3] == "FourierFeatures(key='pos', channels=2, features=64, gamma=1.0, hidden=64)"
    assert canonical_encodings(texts) == texts
    assert canonical_encodings(["FourierFeatures(key='x', channels=2)"])  # it writes nothing into x
    assert find_encoding("pearl-encoding") is M.PEARLEncoding
    listed = {entry.name: entry.call for entry in catalogue.encoders()}
    assert (
        listed["PEARLEncoding"]
        == "PEARLEncoding(features='random', samples=16, hidden=32, layers=4, directed=False, seed=0)"
    )
    assert listed["ConditionalEncoding"] == "ConditionalEncoding(hidden=32, layers=2, directed=False)"
    assert "LearnedEncoding" not in listed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("PEARLEncoding(width=8)", "PEARLEncoding has no argument 'width'; it takes features='random'"),
        ("PEARLEncoding(features='ones')", "features must be one of 'random', 'basis'"),
        ("PEARLEncoding(layers=2000)", "layers is 2000; it must be at most 1024"),
        ("PEARLEncoding(hidden=10000000000)", "cannot be built"),
        ("ConditionalEncoding(nodes=3)", "ConditionalEncoding has no argument 'nodes'"),
        (
            "FourierFeatures()",
            "FourierFeatures: missing a required argument: 'key'; it takes key, channels, features=64",
        ),
        ("PositionalAttention(key='x', channels=1)", "unknown encoding 'PositionalAttention'"),
        ("LearnedEncoding()", "unknown encoding 'LearnedEncoding'"),
        ("PEARL()", "unknown encoding 'PEARL'; known: .*RandomWalkPE.*PEARLEncoding"),
    ],
)
def test_bad_texts_are_one_line(text: str, said: str) -> None:
    with pytest.raises(GraphPEValueError, match=said) as caught:
        build_encodings([text])
    assert "\n" not in str(caught.value)


def test_without_a_model_they_are_refused() -> None:
    with pytest.raises(GraphPEValueError, match=r"PEARLEncoding\(.*\) has no values without a model, which makes it"):
        stored_encodings(["RandomWalkPE(3)", "PEARLEncoding()"])
    assert [repr(each) for each in stored_encodings(["RandomWalkPE(3)"])] == [
        repr(build_encodings(["RandomWalkPE(3)"])[0])
    ]
    with pytest.raises(GraphPEValueError, match=r"PEARLEncoding\(\) reads no encoding, it is one: name it among the"):
        canonical_encoder("PEARLEncoding()")
    (learned,) = build_encodings(["PEARLEncoding()"])
    assert isinstance(learned, Learned)
    graph = Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2)
    assert set(learned(graph).keys()) == {"edge_index", "num_nodes"}


def test_ones_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "own_learned.py"
    path.write_text(
        "import torch\nfrom graphpe import models as M\n"
        "class OwnEncoding(M.LearnedEncoding):\n"
        "    '''Ones.'''\n"
        "    def __init__(self, width, *, scale=2.0):\n"
        "        super().__init__()\n"
        "        self.width, self.scale = width, scale\n"
        "    def forward(self, batch):\n"
        "        return torch.full((batch.num_nodes, self.width), self.scale)\n"
    )
    with imported([str(path)]):
        encodings = build_encodings(["OwnEncoding(scale=3.0)"])
        assert repr(encodings[0]) == "OwnEncoding(scale=3.0)"
        model = build_model("GCN(width=8, layers=1)", ADAPTER, encodings)
        assert torch.equal(model.encodings[0](batch()), torch.full((8, 8), 3.0))
        assert "OwnEncoding(scale=2.0)" in [entry.call for entry in catalogue.encoders()]
