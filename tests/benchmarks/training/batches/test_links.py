from __future__ import annotations

from pathlib import Path

import pandas
import pytest
import torch
from torch_geometric.data import Data

from graphpe import load_run
from graphpe.benchmarks.tasks.links.own import LinkFile
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.experiment import resolve, run_experiment
from graphpe.errors import GraphPEValueError

MODEL = "GraphTransformer(width=16, layers=1, heads=2, attention='sparse')"


@pytest.fixture
def graph(tmp_path: Path) -> str:
    """Two cliques, with few links between them: common neighbours tell what is a link."""
    tail, head = torch.triu_indices(14, 14, 1)
    edges = torch.cat([torch.stack([tail, head]), torch.stack([tail, head]) + 14, torch.tensor([[0], [14]])], dim=1)
    kept = edges[:, torch.rand(edges.shape[1], generator=torch.Generator().manual_seed(0)) < 0.7]
    torch.save(Data(edge_index=torch.cat([kept, kept.flip(0)], dim=1), num_nodes=28), tmp_path / "graph.pt")
    return str(tmp_path / "graph.pt")


def run(path: str, folder: Path, *, options: str = "", **more: object) -> dict:
    task = f"LinkFile(path={path!r}, valid=0.1, test=0.2{options})"
    config = {"task": task, "model": MODEL, "encodings": ("LaplacianPE(k=4)",), "epochs": 3, "batch_size": 16} | more
    return run_experiment(resolve(TrainConfig(**config)), run_path=folder, progress=False)


@pytest.mark.parametrize("score", ["dot", "hadamard"])
@pytest.mark.parametrize("sampler", ["whole", "neighbors"])
def test_links_are_learned_and_written(graph, tmp_path, score, sampler):
    summary = run(
        graph, tmp_path / "run", options=f", disjoint=0.4, score={score!r}", sampler=sampler, fanout=(5, 5),
        encodings=("LaplacianPE(k=4)", "RelativeRandomWalkPE(walk_length=4, pairs='edge_label_index')"), epochs=40,
        learning_rate=0.01, warmup_steps=2, patience=0,
    )  # fmt: skip
    assert summary["test"] > 0.8
    table = pandas.read_csv(next((tmp_path / "run").glob("test_predictions*")))
    assert list(table.columns) == ["source", "target", "target_link", "probability_link"]
    assert set(table["target_link"]) == {0, 1}
    loaded = load_run(tmp_path / "run")
    assert loaded.model.score_name == score
    # The known edges, and the pairs of the test part: what was predicted then.
    data = LinkFile(graph, valid=0.1, test=0.2, disjoint=0.4).load(progress=False)
    asked = Data(edge_index=data.graphs.edge_index, num_nodes=28)
    asked.edge_label_index = data.pairs[:, data.split["test"]].long()
    again = loaded.predict(asked)
    assert list(again.columns) == ["source", "target", "probability_link"]
    assert again["probability_link"].tolist() == pytest.approx(table["probability_link"].tolist(), abs=1e-5)
    for key in ("edge_index", "edge_label_index"):
        less = asked.clone()
        del less[key]
        with pytest.raises(GraphPEValueError, match=f"the graph has no {key}"):
            loaded.predict(less)
    asked.edge_label_index = torch.tensor([[0], [99]])
    with pytest.raises(GraphPEValueError, match="edge_label_index asks for node 99, but there are 28 nodes"):
        loaded.predict(asked)
    with pytest.raises(GraphPEValueError, match="is a run about links, of which there is predict alone"):
        loaded.embed(asked)


def test_a_run_is_a_function_of_its_seed(graph, tmp_path):
    rate = {"learning_rate": 0.01, "warmup_steps": 1}  # nodes are alike until the map of the encoding has left zero
    one, same, other = (
        run(graph, tmp_path / name, seed=seed, **rate)["test"] for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert one == same != other


def test_encodings_of_a_link_do_not_see_it(graph, tmp_path):
    pairs = ("ShortestPathPE(pairs='edge_label_index')",)
    with pytest.raises(GraphPEValueError, match=r"would see the link itself.*disjoint=0\.3 in the task"):
        run(graph, tmp_path / "run", encodings=pairs)
    hops = ("ShortestPathPE(max_distance=4, pairs='edge_label_index')",)
    assert run(graph, tmp_path / "hops", options=", disjoint=0.4", encodings=hops)["parameters"] > 0


def test_what_links_are_not_for(graph, tmp_path):
    with pytest.raises(GraphPEValueError, match="sampler='partitions' cuts links"):
        run(graph, tmp_path / "run", sampler="partitions", parts=3, batch_size=2)
    config = TrainConfig(
        task="SortingNetworks(train=20, valid=5, test=5)", encodings=("ResistancePE(pairs='edge_label_index')",)
    )
    with pytest.raises(GraphPEValueError, match="is of chosen pairs, and this task asks for none"):
        run_experiment(resolve(config), run_path=tmp_path / "other", progress=False)
