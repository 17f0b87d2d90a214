from __future__ import annotations

import json
import shutil
from pathlib import Path

import networkx as nx
import numpy as np
import pandas
import pytest
import torch
from torch_geometric.data import Batch, Data

import graphpe
from graphpe.benchmarks.cli.main import main
from graphpe.errors import GraphPEError, GraphPERuntimeError, GraphPETypeError, GraphPEValueError


def test_predictions_of_the_test_part_are_saved_and_give_the_metric(classes_run, graph_list) -> None:
    run = graphpe.load_run(classes_run[0])
    saved = pandas.read_csv(classes_run[0] / "test_predictions.csv")
    assert list(saved) == [
        "graph",
        "target_y",
        "predicted_y",
        *(f"probability_{word}" for word in ("cat", "dog", "eel")),
    ]
    assert saved["target_y"].tolist() == [graph_list[number].y for number in saved["graph"]]
    assert (saved["target_y"] == saved["predicted_y"]).mean() == pytest.approx(run.summary["test"])
    np.testing.assert_allclose(saved.filter(like="probability").sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("given", ["path", "list", "batch", "packed"])
def test_every_source_of_the_same_graphs_gives_the_same_predictions(classes_run, graph_list, given) -> None:
    path = classes_run[1]
    unlabelled = [Data(x=data.x, edge_index=data.edge_index, edge_attr=data.edge_attr) for data in graph_list]
    source = {
        "path": path,
        "list": unlabelled,
        "batch": Batch.from_data_list(unlabelled),
        "packed": graphpe.PackedGraphs.from_data_list(unlabelled),
    }[given]
    run = graphpe.load_run(classes_run[0])
    frame = run.predict(source, batch_size=7)
    assert frame["graph"].tolist() == list(range(30))
    saved = pandas.read_csv(classes_run[0] / "test_predictions.csv")
    shown = frame.iloc[saved["graph"]]
    assert shown["predicted_y"].tolist() == saved["predicted_y"].tolist()
    np.testing.assert_allclose(shown["probability_dog"], saved["probability_dog"], rtol=1e-5)


def test_the_model_and_the_transform_are_usable_by_themselves(classes_run, graph_list) -> None:
    run = graphpe.load_run(classes_run[0])
    output = run.model(run.transform(Batch.from_data_list(graph_list)))
    frame = run.predict(graph_list)
    np.testing.assert_allclose(output.softmax(1)[:, 1], frame["probability_dog"], rtol=1e-4)
    torch.testing.assert_close(run.model(run.batch(graph_list)), output)


def test_embeddings_are_what_the_head_reads(classes_run, graph_list) -> None:
    run = graphpe.load_run(classes_run[0])
    vectors = run.embed(graph_list, batch_size=4)
    assert vectors.shape == (30, 16)
    torch.testing.assert_close(run.model.head(vectors), run.model(run.batch(graph_list)), rtol=1e-4, atol=1e-5)


def test_graphs_with_unknown_categories_are_named_and_the_others_predicted(classes_run, graph_list) -> None:
    run = graphpe.load_run(classes_run[0])
    strange = [data.clone() for data in graph_list[:4]]
    strange[1].edge_attr = torch.full_like(strange[1].edge_attr, 9)
    strange[2].x = torch.full_like(strange[2].x, torch.nan)
    frame = run.predict(strange)
    assert frame["error"].notna().tolist() == [False, True, True, False]
    assert "edge_attr" in frame["error"][1]
    assert "not finite" in frame["error"][2]
    assert frame["predicted_y"].isna().tolist() == [False, True, True, False]
    expected = run.predict(graph_list[:4])
    np.testing.assert_allclose(frame["probability_cat"][[0, 3]], expected["probability_cat"][[0, 3]], rtol=1e-5)
    with pytest.raises(GraphPERuntimeError, match="no row can be read"):
        run.predict(strange[1:3])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda data: data.x.resize_(0), "x"),
        (lambda data: delattr(data, "edge_attr"), "have no edge_attr"),
        (lambda data: setattr(data, "x", data.x[:, :2]), "x has 2 columns"),
        (lambda data: setattr(data, "edge_attr", data.edge_attr.float()), "edge_attr has 1 columns of numbers"),
    ],
)
def test_graphs_of_another_kind_are_refused(classes_run, graph_list, change, expected) -> None:
    data = graph_list[0].clone()
    change(data)
    with pytest.raises(GraphPEError, match=expected):
        graphpe.load_run(classes_run[0]).predict([data])


def test_a_graph_without_nodes_is_named_and_the_others_predicted(classes_run, graph_list) -> None:
    run = graphpe.load_run(classes_run[0])
    nothing = Data(x=torch.zeros(0, 3), edge_index=torch.zeros(2, 0, dtype=torch.long))
    nothing.edge_attr = torch.zeros(0, 1, dtype=torch.long)
    assert run.predict([graph_list[0], nothing])["error"].tolist()[1] == "it has no nodes"
    with pytest.raises(GraphPERuntimeError, match="it has no nodes"):
        run.predict(nothing)


@pytest.mark.parametrize("source", [[], 3, {"x": 1}, pandas.DataFrame({"x": [1]}), "missing.pt", "graphs.xyz"])
def test_what_is_no_source_is_one_line(classes_run, source, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "graphs.xyz").write_text("")
    with pytest.raises(GraphPEError) as caught:
        graphpe.load_run(classes_run[0]).predict(source)
    assert "\n" not in str(caught.value)


def test_words_of_features_mean_what_they_meant_in_training(networkx_run, tmp_path) -> None:
    run = graphpe.load_run(networkx_run[0])
    graphs = networkx_run[1]
    everything = run.predict(Path(run.task.path))
    # One graph alone, whose nodes are all blue: read by itself, "blue" would be the first word.
    alone = graphs[3].copy()
    alone.graph.clear()
    nx.set_node_attributes(alone, "blue", "colour")
    repainted = [graph.copy() for graph in graphs]
    repainted[3] = alone
    for name, some in (("one", [alone]), ("all", repainted)):
        (tmp_path / f"{name}.json").write_text(json.dumps([nx.node_link_data(each) for each in some]))
    one, several = run.predict(tmp_path / "one.json"), run.predict(tmp_path / "all.json")
    assert one["predicted_y"][0] == pytest.approx(several["predicted_y"][3], rel=1e-5)
    assert one["predicted_y"][0] != pytest.approx(everything["predicted_y"][3], rel=1e-5)
    np.testing.assert_allclose(several["predicted_y"][:3], everything["predicted_y"][:3], rtol=1e-5)


def test_an_unknown_word_is_an_error_of_its_graph_alone(networkx_run, tmp_path) -> None:
    run = graphpe.load_run(networkx_run[0])
    graphs = [graph.copy() for graph in networkx_run[1][:3]]
    graphs[1].nodes[0]["colour"] = "green"
    del graphs[2].nodes[0]["size"]
    path = tmp_path / "some.json"
    path.write_text(json.dumps([nx.node_link_data(graph) for graph in graphs]))
    frame = run.predict(path)
    assert frame["predicted_y"].isna().tolist() == [False, True, True]
    assert "'green'" in frame["error"][1]
    assert "size" in frame["error"][2]


def test_predictions_are_in_the_units_of_the_targets(networkx_run) -> None:
    run = graphpe.load_run(networkx_run[0])
    saved = pandas.read_csv(networkx_run[0] / "test_predictions.csv")
    error = np.sqrt(np.mean((saved["target_y"] - saved["predicted_y"]) ** 2))
    assert error == pytest.approx(run.summary["test"], rel=1e-4)
    assert saved["target_y"].tolist() == pytest.approx([networkx_run[1][each].graph["y"] for each in saved["graph"]])


def test_edge_lists_are_read_without_labels(train, tmp_path) -> None:
    rng = np.random.default_rng(1)
    folder = tmp_path / "train"
    (folder / "edges").mkdir(parents=True)
    rows = ["graph,y"]
    for number in range(20):
        lines = [f"{u},{v},{rng.normal():.3f}" for u, v in rng.integers(0, 5, (6, 2))]
        (folder / "edges" / f"g{number}.csv").write_text("\n".join(["source,target,strength", *lines]))
        rows.append(f"g{number},{rng.normal()}")
    (folder / "labels.csv").write_text("\n".join(rows))
    run = graphpe.load_run(train(f"EdgeListFolder({str(folder)!r})"))
    expected = run.predict(folder)
    assert expected["graph"].tolist() == [f"g{number}" for number in range(20)]
    new = tmp_path / "new"
    (new / "edges").mkdir(parents=True)
    for name in ("g4", "g7"):
        (new / "edges" / f"{name}.csv").write_text((folder / "edges" / f"{name}.csv").read_text())
    (new / "edges" / "h.csv").write_text("source,target,strength\n0,1,strong\n")
    found = run.predict(new)
    assert found["graph"].tolist() == ["g4", "g7", "h"]
    np.testing.assert_allclose(found["predicted_y"][:2], expected["predicted_y"][[4, 7]], rtol=1e-5)
    assert "strength" in found["error"][2]
    for path in (bare := tmp_path / "bare", nothing := tmp_path / "nothing"):
        path.mkdir()
    (bare / "g4.txt").write_text((new / "edges" / "g4.csv").read_text())
    np.testing.assert_allclose(run.predict(bare)["predicted_y"], found["predicted_y"][:1], rtol=1e-5)
    (nothing / "h.csv").write_text("source,target,strength\n0,1,strong\n")
    with pytest.raises(GraphPERuntimeError, match=r"no row can be read; the first: .*strength"):
        run.predict(nothing)


def test_a_task_of_nodes_gives_a_row_a_node(tmp_path) -> None:
    from graphpe.benchmarks.runs.inputs import Inputs
    from graphpe.benchmarks.runs.table import part_frame, prediction_frame
    from graphpe.benchmarks.tasks.metrics import ACCURACY
    from graphpe.benchmarks.tasks.node_level import NodeAdapter, NodeTargets

    adapter = NodeAdapter((3,), (), 2, "classes")
    graphs = graphpe.PackedGraphs.from_data_list(
        [Data(edge_index=torch.zeros(2, 0, dtype=torch.long), y=torch.tensor([0, 1][:n]), num_nodes=n) for n in (2, 1)],
        levels={"y": "node"},
    )
    logits = torch.tensor([[0.0, 1.0], [2.0, 0.0], [0.0, 3.0]])
    split = {part: torch.arange(2) for part in ("train", "valid", "test")}
    data = NodeTargets(graphs, split, adapter, "", scored_by=ACCURACY)
    saved = part_frame(data, logits, torch.tensor([0, 1]))
    assert saved["graph"].tolist() == [0, 0, 1]
    assert saved["node"].tolist() == [0, 1, 0]
    assert saved["target_class"].tolist() == ["0", "1", "0"]
    assert saved["predicted_class"].tolist() == ["1", "0", "1"]
    columns = adapter.columns(logits, graphs)
    inputs = Inputs(graphs, {"graph": ["a", "b", "c"]}, [0, 2], {1: "broken"})
    parts = [
        {name: values[:2] for name, values in columns.items()},
        {name: values[2:] for name, values in columns.items()},
    ]
    frame = prediction_frame(inputs, "node", parts)
    assert frame["graph"].tolist() == ["a", "a", "b", "c"]
    assert frame["predicted_class"].fillna("").tolist() == ["1", "0", "", "1"]
    assert frame["error"].fillna("").tolist() == ["", "", "broken", ""]


def test_pairs_have_their_ends(train) -> None:
    path = train("Playground(question='adjacency', train=8, valid=4, test=3)", encodings=("MagneticLaplacianPE(k=4)",))
    saved = pandas.read_csv(path / "test_predictions.csv")
    counts = saved.groupby("graph").size()
    assert (np.sqrt(counts) % 1 == 0).all()
    first = saved[saved["graph"] == saved["graph"][0]]
    n = int(np.sqrt(len(first)))
    assert first["source"].tolist() == np.repeat(np.arange(n), n).tolist()
    assert first["target"].tolist() == np.tile(np.arange(n), n).tolist()
    known = saved.dropna(subset="target_y")
    guess, answer = known["probability_y"] > 0.5, known["target_y"] > 0.5
    hits = (guess & answer).sum()
    f1 = 2 * hits / max(guess.sum() + answer.sum(), 1)
    assert f1 == pytest.approx(graphpe.load_run(path).summary["test"])


def test_a_run_may_move_and_so_may_the_process(classes_run, tmp_path, monkeypatch, capsys) -> None:
    place = tmp_path / "another place"
    shutil.copytree(classes_run[0], place)
    monkeypatch.chdir(tmp_path)
    run = graphpe.load_run("another place")
    monkeypatch.chdir("/")
    assert run.summary["run"] == str(place)
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--resume", "another place"]) == 0
    printed = capsys.readouterr().out
    assert "graphpe predict new.pt --run 'another place'" in printed
    assert "run folder another place" in printed
    assert str(classes_run[0]) not in printed


def test_a_run_that_is_none_or_unfinished(tmp_path, classes_run) -> None:
    with pytest.raises(GraphPEValueError, match="is not a run folder"):
        graphpe.load_run(tmp_path)
    for device, expected in (("nothing", "device must be one of torch"), ("cuda:99", "torch finds")):
        with pytest.raises(GraphPEError, match=expected):
            graphpe.load_run(classes_run[0], device=device)
    with pytest.raises(GraphPETypeError, match="path must be the folder of a run, got 3"):
        graphpe.load_run(3)  # type: ignore[arg-type]
    for name in ("config.yaml", "task.json"):
        (tmp_path / name).write_bytes((classes_run[0] / name).read_bytes())
    with pytest.raises(GraphPERuntimeError, match="no checkpoint"):
        graphpe.load_run(tmp_path)
    (tmp_path / "best.pt").write_bytes((classes_run[0] / "best.pt").read_bytes())
    with pytest.raises(GraphPERuntimeError, match="has not finished"):
        _ = graphpe.load_run(tmp_path).summary
