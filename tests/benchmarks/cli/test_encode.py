from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data

import graphpe
from graphpe import transforms as T
from graphpe.benchmarks.cli.main import main

ENCODINGS = ["--encodings", "LaplacianPE(k=4)", "RandomWalkPE(walk_length=5)"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "graphs.pt"
    torch.manual_seed(0)
    sizes = torch.randint(1, 15, (60,)).tolist()
    torch.save([Data(x=torch.rand(n, 2), edge_index=torch.randint(n, (2, 2 * n)), name=f"№ {n}") for n in sizes], path)
    return path


def files(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.iterdir()}


def test_a_saved_list(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    command = ["encode", "--data", str(saved), *ENCODINGS, "--out", str(out), "--shard-graphs", "16"]
    assert main(command) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0].startswith("60 graphs, ")
    assert "graphs/s" in lines[-1]
    assert lines[-1].endswith(f" in {out}")

    dataset = graphpe.EncodedDataset(out, verify=True)
    original = torch.load(saved, weights_only=False)
    assert [graph.name for graph in dataset] == [graph.name for graph in original]
    walks = T.RandomWalkPE(walk_length=5)
    for found, graph in zip(dataset, original, strict=True):
        torch.testing.assert_close(found.random_walk_pe, walks(graph).random_walk_pe)
        assert found.laplacian_eigenvector_pe.shape == (graph.num_nodes, 4)

    assert main([*command, "--quiet"]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert main([*command, "--quiet", "--shard-graphs", "17"]) == 1
    assert capsys.readouterr().err == (
        f"graphpe encode: error: {out} was encoded with the shard_graphs 16, not 17: choose another root, or move "
        "that one away\n"
    )


def test_a_task(source_tree: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = f"python-source(root={str(source_tree)!r}, graph='ast')"
    command = ["encode", "--data", task, "--encodings", "DegreePE()", "--cache", str(cache), "--out", str(tmp_path)]
    assert main(command) == 0
    dataset = graphpe.EncodedDataset(tmp_path)
    assert f"encoded {len(dataset)} graphs" in capsys.readouterr().out
    assert "where" in dataset[0]


def test_an_ogb_dataset(shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(shared_data / "ogbg_molfreesolv", tmp_path / "data" / "ogbg_molfreesolv")
    for path in [tmp_path / "data", *(tmp_path / "data").rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    command = ["encode", "--data", "ogbg-molfreesolv", "--root", str(tmp_path / "data"), *ENCODINGS, "--quiet"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    assert len(graphpe.EncodedDataset(tmp_path / "out")) == 642


def test_options_from_a_file(saved: Path, tmp_path: Path) -> None:
    config = tmp_path / "encode.yaml"
    config.write_text(f"data: {saved}\nencodings: ['DegreePE()']\nout: {tmp_path / 'out'}\nquiet: true\n")
    assert main(["encode", "--config", str(config)]) == 0
    assert len(graphpe.EncodedDataset(tmp_path / "out")) == 60


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        (["--data", "none.pt"], 1, "none.pt cannot be read: No such file or directory"),
        (["--data", "python-sauce"], 1, "unknown task 'python-sauce'"),
        (["--data", "ogbg-none", "--root", "nowhere"], 1, "ogbg-none"),
        (["--encodings", "LaplacePE(k=4)"], 1, "unknown encoding 'LaplacePE'; known: "),
        (["--encodings", "LaplacianPE(k=0)"], 1, "k must be from 1"),
        (["--encodings", "DegreePE()", "DegreePE()"], 1, "both write"),
        (["--encodings"], 2, "encodings"),
        (["--engine", "dask"], 2, "--engine is 'dask'; it must be one of local, ray"),
        (["--device", "tpu"], 1, "device must be 'cpu' or 'cuda', got 'tpu'"),
        (["--workers", "-1"], 1, "workers must be from 0 on"),
        (["--workers", "two"], 2, "workers"),
        (["--shards", "3"], 2, "shards"),
    ],
)
def test_bad_input_is_one_line(
    saved: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: list[str],
    status: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    options = {"--data": [str(saved)], "--encodings": ["DegreePE()"], "--out": [str(tmp_path / "out")]}
    options |= {change[0]: change[1:]} if change[0] != "--data" else {"--data": [change[1], *change[2:]]}
    command = ["encode", *(part for name, values in options.items() for part in (name, *values))]
    assert main(command) == status
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("graphpe encode: error: ")
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("missing", ["--data", "--encodings"])
def test_a_missing_option(missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"--data": "graphs.pt", "--encodings": "DegreePE()"}
    del options[missing]
    assert main(["encode", *(part for option in options.items() for part in option)]) == 2
    assert f"{missing} is missing" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(("stop", "workers"), [(signal.SIGKILL, 2), (signal.SIGINT, 0), (signal.SIGINT, 2)])
def test_a_command_that_was_stopped_goes_on(tmp_path: Path, stop: int, workers: int) -> None:
    torch.manual_seed(1)
    graphs = [Data(edge_index=torch.randint(60, (2, 150)), num_nodes=60) for _ in range(4000)]
    torch.save(graphs, tmp_path / "graphs.pt")
    encode = ["encode", "--data", str(tmp_path / "graphs.pt"), *ENCODINGS, "--shard-graphs", "64"]
    assert main([*encode, "--out", str(tmp_path / "whole"), "--quiet"]) == 0

    command = [sys.executable, "-m", "graphpe.benchmarks.cli.main", *encode, "--out", str(tmp_path / "out")]
    journal = tmp_path / "out" / "journal.jsonl"
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen([*command, "--workers", str(workers)], stderr=said, stdout=subprocess.DEVNULL)
        while process.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < 3):
            time.sleep(0.001)
        process.send_signal(stop)
        assert process.wait() == (-stop if stop == signal.SIGKILL else 130)
    said_lines = (tmp_path / "said").read_text().replace("\r", "\n").splitlines()
    assert not any("Traceback" in line for line in said_lines)
    assert stop == signal.SIGKILL or said_lines[-1].strip() == "graphpe encode: error: interrupted"
    with pytest.raises(graphpe.GraphPERuntimeError, match="not finished"):
        graphpe.EncodedDataset(tmp_path / "out")
    assert main([*encode, "--out", str(tmp_path / "out"), "--quiet"]) == 0
    assert files(tmp_path / "out") == files(tmp_path / "whole")


@pytest.mark.slow
def test_all_of_molhiv_takes_less_than_1500_megabytes(shared_data: Path, tmp_path: Path) -> None:
    shutil.copytree(shared_data / "ogbg_molhiv", tmp_path / "ogbg_molhiv")
    for path in [tmp_path, *tmp_path.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    # A process of its own, which reads the raw files, too; its children are counted apart.
    code = (
        "import resource, sys; from graphpe.benchmarks.cli.main import main; status = main(sys.argv[1:])\n"
        "print(status, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    command = [sys.executable, "-c", code, "encode", "--data", "ogbg-molhiv", "--root", str(tmp_path), "--quiet"]
    command += [*ENCODINGS, "MagneticLaplacianPE(k=8)", "--out", str(tmp_path / "out")]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    status, kilobytes = printed.splitlines()[-1].split()
    assert status == "0"
    assert int(kilobytes) < 1_500_000
    assert len(graphpe.EncodedDataset(tmp_path / "out")) == 41_127


def test_the_bare_graphs(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encode", "--data", str(saved), "--encodings", "none", "--out", str(tmp_path / "out"), "--quiet"]) == 0
    dataset = graphpe.EncodedDataset(tmp_path / "out", verify=True)
    assert len(dataset) == 60
    assert set(dataset[0].keys()) == {"x", "edge_index", "name"}
    capsys.readouterr()
    assert (
        main(["encode", "--data", str(saved), "--encodings", "none", "DegreePE()", "--out", str(tmp_path / "b")]) == 1
    )
    assert "'none' stands alone" in capsys.readouterr().err


def test_other_files_and_folders(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder of PyG's, one that this command wrote, and a table; and a folder of somebody else as --out."""
    (tmp_path / "data" / "processed").mkdir(parents=True)
    graphs = torch.load(saved, weights_only=False)
    for graph in graphs:
        graph.ragged = torch.rand(3, graph.num_nodes)
    torch.save(graphs, tmp_path / "data" / "processed" / "data.pt")
    command = ["encode", "--encodings", "DegreePE()", "--out", str(tmp_path / "out"), "--data"]
    assert main([*command, str(tmp_path / "data")]) == 0
    assert "left out, for it is no value of nodes, edges or graphs: ragged" in capsys.readouterr().out
    command[3:5] = ["--out", str(tmp_path / "again")]
    assert main([*command, str(tmp_path / "out"), "--quiet"]) == 0
    assert torch.equal(graphpe.EncodedDataset(tmp_path / "again")[3].x, graphs[3].x)
    (tmp_path / "table.csv").write_text("smiles\nCCO\n")
    assert main([*command, str(tmp_path / "table.csv")]) == 1
    assert (
        "what is to be predicted? Give --target with a column, or the task's call, SmilesTable("
        in capsys.readouterr().err
    )
    assert main([*command, str(tmp_path / "none.csv")]) == 1
    assert "none.csv cannot be read: No such file" in capsys.readouterr().err
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "graphs.safetensors").write_bytes(b"theirs")
    command[3:5] = ["--out", str(tmp_path / "theirs")]
    assert main([*command, str(saved)]) == 1
    assert "holds graphs.safetensors, which graphpe did not write: choose another" in capsys.readouterr().err
    assert files(tmp_path / "theirs") == {"graphs.safetensors": b"theirs"}
