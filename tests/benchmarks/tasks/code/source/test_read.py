from __future__ import annotations

import os
from pathlib import Path

import pytest

from graphpe.benchmarks.tasks import processes
from graphpe.benchmarks.tasks.code.source import read
from graphpe.benchmarks.tasks.code.source.files import find_sources
from graphpe.benchmarks.tasks.code.source.read import read_corpus
from graphpe.benchmarks.tasks.code.source.store import corpus_path
from graphpe.errors import GraphPEValueError


def read_alone(root: Path, **options: object) -> tuple[read.Corpus, list[str]]:
    return read_corpus(find_sources(root), **{"workers": 1, "progress": False} | options)


def test_left_out_and_read(tree):
    names = ["a.py", "pkg/b.py", "pkg/testing/c.py", "pkg/contest/d.py"]
    others = ["tests/x.py", "pkg/test/x.py", "idle_test/x.py", "__pycache__/x.py", "site-packages/x.py", ".hidden/x.py"]
    root = tree({name: "def f(): pass" for name in [*names, *others, "notes.txt", "data.pyc"]})
    found = find_sources(root)
    assert [file.shown for file in found.files] == sorted(names)
    assert found.test_folders == 3
    assert [file.shown for file in find_sources(root, tests=True).files] == sorted([*names, *others[:3]])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_no_file(tree):
    root = tree({"a.py": ""})
    os.mkfifo(root / "pipe.py")  # whoever opens it waits forever
    assert [file.shown for file in find_sources(root).files] == ["a.py"]


def test_broken_files_are_counted_and_named(tree):
    good = {"good.py": "def f(): pass\n", "also.py": "def g(): pass\n"}
    bad = {
        "syntax.py": "def f(:\n",
        "nul.py": b"def f():\0 pass\n",
        "coding.py": "# coding: klingon\n",
        "bytes.py": b"x = '\xff\xfe'\n",
        "deep.py": "x = " + "(" * 5000 + ")" * 5000,
    }
    root = tree(good | bad)
    (root / "dangling.py").symlink_to(root / "nowhere")
    (root / "folder.py").mkdir()
    corpus, notes = read_alone(root)
    assert corpus.files == ["also.py", "good.py"]
    assert corpus.names == ["g", "f"]
    assert sorted(path for path, _ in corpus.skipped) == sorted([*bad, "dangling.py"])
    (note,) = notes
    assert "skipped 6" in note
    assert "bytes.py" in note
    assert "and 1 more" in note
    assert "\n" not in note


@pytest.mark.parametrize("source", ["x = " + "-" * 100_000 + "1", "x = " + "a." * 100_000 + "b", "[" * 150 + "]" * 150])
def test_deep_source_is_read_or_skipped(tmp_path, source):
    (tmp_path / "deep.py").write_text(f"def f():\n    return 0\n{source}\n")
    parsed = read.parse_file(tmp_path / "deep.py")
    assert isinstance(parsed, read.ParsedFile) or "\n" not in parsed


@pytest.mark.parametrize(
    "error", [RecursionError(), MemoryError(), ValueError("odd"), OverflowError(), OSError(5, "io")]
)
def test_whatever_the_parser_raises_is_a_reason(tmp_path, monkeypatch, error):
    def fail(*_: object, **__: object) -> None:
        raise error

    (tmp_path / "a.py").write_text("")
    monkeypatch.setattr(read, "parse_source", fail)
    assert isinstance(read.parse_file(tmp_path / "a.py"), str)


def test_the_number_of_processes_does_not_matter(tree, modules, monkeypatch):
    monkeypatch.setattr(read, "SMALL", 0)
    root = tree(modules | {"broken.py": "def"})
    alone, _ = read_alone(root)
    together, _ = read_alone(root, workers=3)
    assert alone.num_functions == 60
    assert alone.equals(together)


def test_without_processes_to_be_had_one_does_it_all(tree, modules, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise PermissionError("no semaphores here")

    monkeypatch.setattr(read, "SMALL", 0)
    monkeypatch.setattr(processes, "ProcessPoolExecutor", fail)
    assert read_alone(tree(modules), workers=3)[0].num_functions == 60


def test_the_cache_gives_the_same_and_is_used(tree, modules, tmp_path, monkeypatch):
    root, cache = tree(modules | {"broken.py": "def", "text.py": "def f(): return 'é\\ud800\\0'"}), tmp_path / "cache"
    first, _ = read_alone(root, cache=cache)
    monkeypatch.setattr(read, "parse_file", None)  # whoever parses now fails
    second, notes = read_alone(root, cache=cache)
    assert first.equals(second)
    assert "taken from" in notes[0]
    assert "broken.py" in notes[1]


@pytest.mark.parametrize("change", ["content", "name", "added", "parser", "python"])
def test_the_cache_is_not_used_for_anything_else(tree, modules, tmp_path, monkeypatch, change):
    root, cache = tree(modules), tmp_path / "cache"
    key = read_alone(root, cache=cache)[0].key
    if change == "content":
        text = (root / "beta.py").read_text()
        (root / "beta.py").write_text(text.replace("10", "11"))  # same length, whatever the clock says
    elif change == "name":
        (root / "beta.py").rename(root / "beta2.py")
    elif change == "added":
        (root / "new.py").write_text("")
    elif change == "parser":
        monkeypatch.setattr(read, "PARSER_VERSION", -1)
    else:
        monkeypatch.setattr(read.platform, "python_implementation", lambda: "Other")
    corpus, notes = read_alone(root, cache=cache)
    assert corpus.key != key
    assert notes == []


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "other"])
def test_a_damaged_cache_is_noticed(tree, modules, tmp_path, damage):
    root, cache = tree(modules), tmp_path / "cache"
    first, _ = read_alone(root, cache=cache)
    path = corpus_path(cache, first.key)
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    path.write_bytes({"cut": content[:-100], "empty": b"", "other": b"x" * 500}.get(damage, bytes(content)))
    second, notes = read_alone(root, cache=cache)
    assert first.equals(second)
    assert "damaged" in notes[0]
    assert "parsed again" in notes[0]
    assert read_alone(root, cache=cache)[1][0].startswith("parsed source taken from")  # it was put right


def test_a_corpus_under_the_wrong_name_is_noticed(tree, modules, tmp_path):
    root, cache = tree(modules), tmp_path / "cache"
    old = corpus_path(cache, read_alone(root, cache=cache)[0].key)
    (root / "beta.py").unlink()
    new = corpus_path(cache, read_alone(root, cache=cache)[0].key)
    os.replace(old, new)
    corpus, notes = read_alone(root, cache=cache)
    assert "damaged" in notes[0]
    assert "beta.py" not in corpus.files


def test_a_cache_that_cannot_be_written_is_no_error(tree, modules, tmp_path):
    (tmp_path / "file").write_text("")
    corpus, notes = read_alone(tree(modules), cache=tmp_path / "file" / "cache")
    assert corpus.num_functions == 60
    assert "not kept" in notes[0]


def test_a_file_that_changes_while_it_is_read_is_not_kept(tree, modules, tmp_path, monkeypatch):
    root, cache = tree(modules), tmp_path / "cache"
    digest, calls = read.digest_files, []

    def digest_then_change(files):
        calls.append(digest(files))
        (root / "beta.py").write_text("def late(): pass\n")
        return calls[-1]

    monkeypatch.setattr(read, "digest_files", digest_then_change)
    corpus, _ = read_alone(root, cache=cache)
    assert "late" in corpus.names
    assert not cache.exists()


def test_bad_roots(tree, tmp_path):
    for root in (tmp_path / "nowhere", ""):
        with pytest.raises(GraphPEValueError, match="there is no file or folder"):
            find_sources(root)
    with pytest.raises(GraphPEValueError, match=r"holds no Python source \(no \.py file\)"):
        find_sources(tree({"readme.txt": ""}))
    with pytest.raises(GraphPEValueError, match="besides folders of tests"):
        find_sources(tree({"tests/a.py": ""}))


def test_one_file_is_a_tree_of_its_own(tree, modules):
    root = tree(modules)
    corpus, _ = read_alone(root / "beta.py")
    assert corpus.files == ["beta.py"]
    assert corpus.num_functions == 6


def test_odd_file_names_can_be_shown(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.py"
    with open(path, "w") as file:
        file.write("def f(): pass\n")
    corpus, _ = read_alone(tmp_path, cache=tmp_path / "cache")
    assert corpus.files == [r"caf\xe9.py"]
    assert corpus.names == ["f"]
