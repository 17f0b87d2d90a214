from __future__ import annotations

import json

import pytest
import torch
from torch.nn import functional

from graphpe import transforms
from graphpe.benchmarks.calls.build import build_model
from graphpe.benchmarks.tasks import PythonSource
from graphpe.benchmarks.tasks.code.adapter import CodeAdapter
from graphpe.benchmarks.tasks.code.data import CodeData
from graphpe.benchmarks.tasks.code.vocabulary import Vocabulary
from graphpe.errors import GraphPEValueError


@pytest.fixture
def data(tree, modules, tmp_path) -> CodeData:
    return PythonSource(root=str(tree(modules))).load(cache=tmp_path / "cache", progress=False)


def test_the_state_survives_json(data):
    again = CodeAdapter.from_state(json.loads(json.dumps(data.adapter.state())))
    assert again.state() == data.adapter.state()
    assert again.tokens == data.adapter.tokens


@pytest.mark.parametrize("change", [{"tokens": ["a"]}, {"types": None}, {"attributes": ["__UNK__"]}, {"tokens": 3}])
def test_a_wrong_state_is_rejected(data, change):
    with pytest.raises(GraphPEValueError):
        CodeAdapter.from_state(data.adapter.state() | change)
    with pytest.raises(GraphPEValueError, match="vocabularies"):
        CodeAdapter.from_state({})


def test_modules_fit_the_graphs(data):
    adapter = data.adapter
    batch = adapter.model_graphs(data.graphs).select([3, 0, 5]).to_batch()
    assert adapter.node_encoder(16)(batch).shape == (batch.num_nodes, 16)
    assert adapter.edge_encoder(16)(batch).shape == (batch.num_edges, 16)
    output = adapter.head(16)(torch.randn(3, 16))
    assert output.shape == (3, 5, len(adapter.tokens))
    assert adapter.predict(output).shape == (3, 5)
    assert adapter.loss(output, batch).isfinite()


def test_the_loss_is_the_mean_of_five_cross_entropies(data):
    batch = data.graphs.select([1, 2, 4, 8]).to_batch()
    output = torch.randn(4, 5, len(data.adapter.tokens))
    five = [functional.cross_entropy(output[:, position], batch.y[:, position]) for position in range(5)]
    assert data.adapter.loss(output, batch) == pytest.approx(float(sum(five)) / 5, rel=1e-5)
    assert data.adapter.loss(output.bfloat16(), batch).dtype == torch.float32


def test_decoding_gives_words_with_their_probabilities():
    words = ["get", "value", "__UNK__", "__EOS__"]
    adapter = CodeAdapter(Vocabulary(["__UNK__"]), Vocabulary(["__NONE__", "__UNK__"]), Vocabulary(words), "argmax")
    picks = torch.tensor([[0, 2, 1, 3, 0], [3, 0, 0, 0, 0], [1, 1, 1, 1, 1]])
    logits = torch.rand(3, 5) * 3 + 1  # of the picked class; the others have 0
    output = functional.one_hot(picks, 4).float() * logits[..., None]
    chances = (logits.exp() / (logits.exp() + 3)).tolist()
    named = adapter.decode(output)
    assert [[word for word, _ in name] for name in named] == [["get", "__UNK__", "value"], [], ["value"] * 5]
    assert [value for _, value in named[0]] == pytest.approx(chances[0][:3], rel=1e-5)
    assert [value for _, value in named[2]] == pytest.approx(chances[2], rel=1e-5)


def test_names_are_said_with_the_vectors_that_are_read(data, tree, modules, tmp_path):
    text = "GraphTransformer(width=16, layers=1, heads=2)"
    model = build_model(text, data.adapter, [])
    assert model.head.classifier is model.node_encoder.word_embedding
    bare = PythonSource(root=str(tree(modules)), words=0).load(cache=tmp_path / "cache", progress=False)
    apart = build_model(text, bare.adapter, [])
    assert isinstance(apart.head.classifier, torch.nn.Linear)
    narrow = build_model(text, data.adapter, [transforms.RandomWalkPE(3)], encoding_width=4)
    assert isinstance(narrow.head.classifier, torch.nn.Linear)  # which reads words in vectors of width 12
