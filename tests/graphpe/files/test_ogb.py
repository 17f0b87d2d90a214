from __future__ import annotations

import builtins
import gzip
import sys
from urllib.error import URLError

import pytest

from graphpe.errors import GraphPERuntimeError
from graphpe.files import ogb as ogb_compat
from graphpe.files.ogb import evaluator, load_graph_dataset, read_rows


@pytest.fixture
def loader():
    with ogb_compat._quiet_import():
        import ogb.graphproppred.dataset_pyg as module
    return module


@pytest.fixture(autouse=True)
def no_questions(monkeypatch):
    def fail(*_: object) -> None:
        raise AssertionError("a question was asked")

    monkeypatch.setattr(builtins, "input", fail)


def test_the_evaluator_is_that_of_ogb():
    score = evaluator("ogbg-code2").eval({"seq_ref": [["a", "b"]], "seq_pred": [["b", "c", "c"]]})
    assert score["F1"] == 0.5
    assert type(evaluator("ogbg-code2")).__module__ == "ogb.graphproppred.evaluate"


def test_the_import_does_not_ask_the_network(monkeypatch):
    monkeypatch.delitem(sys.modules, "ogb", raising=False)
    monkeypatch.setitem(sys.modules, "outdated", sys)
    with ogb_compat._quiet_import(), pytest.raises(ImportError):
        import outdated  # noqa: F401
    assert sys.modules["outdated"] is sys


def test_a_missing_dataset_without_download(tmp_path):
    with pytest.raises(GraphPERuntimeError, match=r"ogbg-code2 is not in .*ogbg_code2: put OGB's files there"):
        load_graph_dataset("ogbg-code2", tmp_path / "data", download=False)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_dataset_without_network(tmp_path, loader, monkeypatch, capsys):
    def unreachable(*_: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(loader, "download_url", unreachable)
    for _ in range(2):  # the second time, OGB would ask about the folder that the first left behind
        with pytest.raises(GraphPERuntimeError, match=r"cannot be downloaded \(no route to host\)") as error:
            load_graph_dataset("ogbg-code2", tmp_path / "data")
        assert "\n" not in str(error.value)
        assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


def test_an_interrupted_download_is_an_interrupt(tmp_path, loader, monkeypatch):
    def interrupted(*_: object) -> None:
        try:
            raise KeyboardInterrupt
        except BaseException:  # as OGB's downloader does
            raise RuntimeError("Stopped downloading due to interruption.")  # noqa: B904

    monkeypatch.setattr(loader, "download_url", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_graph_dataset("ogbg-code2", tmp_path)


def test_an_incomplete_folder_is_left_alone(tmp_path, loader, monkeypatch):
    monkeypatch.setattr(loader, "download_url", None)  # whoever downloads now fails
    folder = tmp_path / "ogbg_code2"
    (folder / "raw").mkdir(parents=True)
    (folder / "raw" / "node-feat.csv.gz").write_bytes(b"precious")
    with pytest.raises(GraphPERuntimeError, match=r"raw is incomplete: it lacks edge.csv.gz of ogbg-code2"):
        load_graph_dataset("ogbg-code2", tmp_path)
    assert (folder / "raw" / "node-feat.csv.gz").read_bytes() == b"precious"


def test_an_unreadable_dataset_says_what_to_do(tmp_path):
    raw = tmp_path / "ogbg_code2" / "raw"
    raw.mkdir(parents=True)
    (raw / "edge.csv.gz").write_bytes(b"not gzip")
    (raw / "node-feat.csv.gz").write_bytes(b"not gzip")
    with pytest.raises(GraphPERuntimeError, match=r"cannot be read \(BadGzipFile.*\); get raw/ again") as error:
        load_graph_dataset("ogbg-code2", tmp_path, progress=False)
    assert "\n" not in str(error.value)


def test_the_patches_do_not_stay(tmp_path, loader):
    before = dict(vars(loader))
    with pytest.raises(GraphPERuntimeError):
        load_graph_dataset("ogbg-code2", tmp_path, download=False)
    assert dict(vars(loader)) == before
    assert not {"input", "exit"} & vars(loader).keys()


def test_words_stay_words(tmp_path):
    path = tmp_path / "words.csv.gz"
    words = ["nan", "null", "None", "NA", "", "1", "a,b", 'say "x"', "two\nlines", "two\r\nlines", "x" * 200_000, "é\0"]
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        for word in words:
            file.write('"' + word.replace('"', '""') + '",x\n')
    assert [row[0] for row in read_rows(path)] == words
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(GraphPERuntimeError, match="cannot be read"):
        read_rows(path)
