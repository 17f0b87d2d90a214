from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from graphpe.benchmarks.tasks import PythonSource
from graphpe.benchmarks.tasks.code.data import CodeData, code_fingerprint
from graphpe.errors import GraphPEValueError


@pytest.fixture
def data(tree, modules, tmp_path) -> CodeData:
    return PythonSource(root=str(tree(modules))).load(cache=tmp_path / "cache", progress=False)


def set_f1(reference: list[str], predicted: list[str]) -> float:
    return 2 * len(set(reference) & set(predicted)) / (len(set(reference)) + len(set(predicted)))


def test_f1_of_perfect_empty_and_random_predictions(data):
    ids = data.split["train"]
    truth = data.graphs.graph["y"][ids]
    assert data.evaluate(truth, ids) == 1.0  # no word of the training part is outside the vocabulary here
    nothing = torch.full_like(truth, len(data.adapter.tokens) - 1)
    assert data.evaluate(nothing, ids) == 0.0
    guess = torch.randint(0, len(data.adapter.tokens), truth.shape)
    words, end = data.adapter.tokens.words, len(data.adapter.tokens) - 1
    expected = []
    for row, index in zip(guess.tolist(), ids.tolist(), strict=True):
        said = [words[i] for i in row[: row.index(end) if end in row else 5]]
        expected.append(set_f1(data.graphs.objects["name_tokens"][index], said))
    assert data.evaluate(guess, ids) == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_argmax_is_scored_as_in_ogbs_example(tree, modules, tmp_path, noise):
    """A classifier that knows its five classes is wrong about the words outside the vocabulary."""
    task = PythonSource(root=str(tree(modules)), tokens=4, decoding="argmax")
    data = task.load(cache=tmp_path / "cache", progress=False)
    ids, words, end = torch.arange(len(data.graphs)), data.adapter.tokens.words, len(data.adapter.tokens) - 1
    logits = functional.one_hot(data.graphs.graph["y"], end + 1) * 3.0
    logits += noise * torch.randn(logits.shape, generator=torch.Generator().manual_seed(0))
    predicted = []
    for arr in logits.argmax(-1):
        clipped = arr[: int(torch.nonzero(arr == end)[0])] if (arr == end).any() else arr
        predicted.append([words[i] for i in clipped.tolist()])
    assert sum("__UNK__" in name for name in predicted) > len(ids) / 3
    names = data.graphs.objects["name_tokens"]
    expected = np.mean([set_f1(name, said) for name, said in zip(names, predicted, strict=True)])
    assert data.evaluate(data.adapter.predict(logits), ids) == pytest.approx(expected)
    assert [[word for word, _ in name] for name in data.adapter.decode(logits)] == predicted


def test_predictions_must_fit_the_graphs(data):
    with pytest.raises(GraphPEValueError, match="one row a graph"):
        data.evaluate(torch.zeros(2, 5, dtype=torch.long), torch.arange(3))
    with pytest.raises(GraphPEValueError, match="no graph"):
        data.evaluate(torch.zeros(0, 5, dtype=torch.long), torch.arange(0))


def test_the_constant_is_chosen_on_the_training_part_and_scored_elsewhere(data):
    score, text = data.constant_baseline(data.split["test"])
    names = data.graphs.objects["name_tokens"]
    assert score == pytest.approx(np.mean([set_f1(names[i], text.split()) for i in data.split["test"].tolist()]))
    train = [names[i] for i in data.split["train"].tolist()]
    singles = {token for name in train for token in name}
    assert np.mean([set_f1(name, text.split()) for name in train]) >= max(
        np.mean([set_f1(name, [token]) for name in train]) for token in singles
    )


def test_the_fingerprint_sees_every_change(data):
    graphs, split = data.graphs, data.split
    assert code_fingerprint(graphs, split) == data.fingerprint
    x = graphs.node["x"].clone()
    x[-1, 1] += 1
    swapped = {"train": split["train"].flip(0), "valid": split["valid"], "test": split["test"]}
    changed = [(graphs.with_values(node={"x": x}), split), (graphs, swapped), (graphs.select(slice(1, None)), split)]
    assert len({code_fingerprint(*pair) for pair in changed} | {data.fingerprint}) == 4
