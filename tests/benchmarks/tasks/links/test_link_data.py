from __future__ import annotations

import re

import pytest
import torch

from graphpe import transforms as T
from graphpe.benchmarks.tasks.links.link_data import LinkAdapter
from graphpe.errors import GraphPERuntimeError, GraphPEValueError


def test_parts_labels_and_the_table(link_data):
    data = link_data(hidden=6)
    assert {part: len(ids) for part, ids in data.split.items()} == {"train": 6, "valid": 16, "test": 24}
    assert data.labels[data.split["test"]].tolist() == [True] * 12 + [False] * 12
    scores = torch.arange(24.0)[:, None]
    assert data.evaluate(-scores, data.split["test"]) == 1.0
    assert data.evaluate(scores, data.split["test"]) == 0.0
    assert data.constant_baseline(data.split["valid"])[0] == pytest.approx(0.5)
    places, columns = data.table(scores, data.split["test"])
    assert torch.equal(torch.stack([torch.from_numpy(places[key].copy()) for key in ("source", "target")]).long(),
                       data.pairs[:, data.split["test"]].long())  # fmt: skip
    assert columns["target_link"] == [1] * 12 + [0] * 12
    assert columns["probability_link"][0] == 0.5
    with pytest.raises(GraphPEValueError, match=r"predictions must be \[24, 1\], one row a pair, got \[3, 1\]"):
        data.evaluate(scores[:3], data.split["test"])


def test_held_out_links_leave_no_trace(link_data):
    """Other held-out pairs, the same training edges: the graph and every encoding of it are the same."""
    one, other = link_data(), link_data(held_out=1)
    assert one.fingerprint != other.fingerprint
    assert torch.equal(one.graphs.edge_index, other.graphs.edge_index)
    held = one.pairs[:, torch.cat([one.split["valid"], one.split["test"]])].long()
    held = held[:, one.labels[torch.cat([one.split["valid"], one.split["test"]])]]
    edges = {tuple(edge) for edge in one.graphs.edge_index.t().tolist()}
    assert edges.isdisjoint(map(tuple, torch.cat([held, held.flip(0)], dim=1).t().tolist()))
    asked = torch.randint(40, (2, 30))
    for encoding in (T.LaplacianPE(4, sign="canonical"), T.RandomWalkPE(5)):
        assert torch.equal(
            encoding(one.graphs).node[encoding.attr_name], encoding(other.graphs).node[encoding.attr_name]
        )
    for encoding in (T.RelativeRandomWalkPE(5, pairs="asked_index"), T.ResistancePE(pairs="asked_index")):
        values = [encoding(each.graphs.with_objects({"asked_index": [asked]})) for each in (one, other)]
        assert torch.equal(*(value.objects[encoding.attr_name][0] for value in values))


def test_hidden_links_are_no_edges(link_data):
    assert link_data().sees_its_links
    data = link_data(hidden=6)
    assert not data.sees_its_links
    known = {tuple(edge) for edge in data.known.t().tolist()}
    assert {tuple(pair) for pair in data.pairs[:, data.split["train"]].t().tolist()} <= known


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"train": torch.zeros(2, 0, dtype=torch.long)}, "the train part of the split has no links"),
        ({"train": torch.tensor([[3], [3]])}, "training links have node 3 with itself: a link is of two nodes"),
        ({"train": torch.tensor([[3], [40]])}, "training links have [3, 40], but there are 40 nodes"),
        ({"train": torch.zeros(3, 2)}, "training links must be node ids [2, n], got [3, 2]"),
    ],
)
def test_bad_links_are_one_line(link_data, changed, message):
    with pytest.raises(GraphPERuntimeError, match=re.escape(message)) as caught:
        link_data(**changed)
    assert "\n" not in str(caught.value)


def test_parts_need_links_and_others(link_data):
    none, some = torch.zeros(2, 0, dtype=torch.long), torch.tensor([[0], [5]])
    with pytest.raises(
        GraphPERuntimeError, match=r"valid part of the split has no pairs that are no links \(negatives\)"
    ):
        link_data(valid=(some, none))
    with pytest.raises(GraphPERuntimeError, match="test part of the split has no links: ROC-AUC needs both"):
        link_data(test=(none, some))


def test_pairs_of_one_node_count_among_those_that_are_no_links(link_data):
    """The others of a published set are drawn at random; that evaluator counts them all."""
    links, others = torch.tensor([[0, 1], [3, 4]]), torch.tensor([[5, 6], [5, 15]])
    data = link_data(test=(links, others))
    assert len(data.split["test"]) == 4
    assert data.notes == ["1 of the pairs that are no links are of one node with itself"]
    with pytest.raises(GraphPERuntimeError, match="test links have node 5 with itself"):
        link_data(test=(others, links))


def test_features_are_finite_and_of_every_node(link_data):
    x = torch.zeros(40, 2)
    x[7, 1] = torch.nan
    with pytest.raises(GraphPERuntimeError, match="x has nan in row 7, column 1, no finite number"):
        link_data(x=x)
    with pytest.raises(GraphPERuntimeError, match="x has 39 rows for 40 nodes"):
        link_data(x=torch.zeros(39, 2))


def test_the_adapter_comes_back(link_data):
    adapter = link_data().adapter
    assert LinkAdapter.from_state(adapter.state()) == adapter
    with pytest.raises(GraphPEValueError, match="adapter of a task about links, but score='no'"):
        LinkAdapter.from_state(adapter.state() | {"score": "no"})
