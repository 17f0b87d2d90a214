from __future__ import annotations

import io
import json
import random
from typing import Any

import pytest

from graphpe.benchmarks.tasks.code.archive import json_stream
from graphpe.benchmarks.tasks.code.archive.json_stream import JSONStream
from graphpe.errors import GraphPEValueError


def stream(text: str, most: int = 3) -> JSONStream:
    file = io.StringIO(text)
    return JSONStream(lambda count: file.read(min(count, most)))


def walked(source: JSONStream) -> Any:
    """The whole value, list by list and object by object."""
    opening = source.peek()
    if opening == "[":
        return [walked(source) for _ in source.elements()]
    if opening == "{":
        return {key: walked(source) for key in source.keys()}
    return source.value()


def made(depth: int) -> Any:
    kind = random.choice(("text", "number", "list", "object", "word")) if depth else "number"
    if kind == "list":
        return [made(depth - 1) for _ in range(random.randrange(4))]
    if kind == "object":
        return {f'k{i}"\\,': made(depth - 1) for i in range(random.randrange(4))}
    texts = "".join(random.choices('a"\\/\n\t{}[]:, é😀', k=random.randrange(9)))
    return {"text": texts, "number": random.choice((0, 12, -3.5e7, 123456)), "word": random.choice((None, True))}[kind]


def test_what_json_reads_it_reads() -> None:
    for _ in range(200):
        value = made(4)
        text = json.dumps(value, ensure_ascii=random.random() < 0.5, indent=random.choice((None, 2)))
        source = stream(f" {text}\n", random.choice((1, 2, 7, 1000)))
        assert walked(source) == value
        source.end()
        assert stream(text, 2).value() == value


@pytest.mark.parametrize("text", ['["a", "b"', '{"a": 1', '{"a" 1}', "[1 2]", '["a', "", "[1, , 2]", "{1: 2}", "[tru]"])
def test_what_is_no_json_is_an_error(text: str) -> None:
    with pytest.raises(GraphPEValueError, match="at character"):
        walked(stream(text))


def test_more_than_one_value_is_an_error() -> None:
    source = stream("[1] 2")
    assert walked(source) == [1]
    with pytest.raises(GraphPEValueError, match="more than one value"):
        source.end()


def test_an_entry_without_an_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "LONGEST", 100)
    read = 0

    def endless(count: int) -> str:
        nonlocal read
        read += 1
        return '"' + "x" * 50 if read == 1 else "x" * 50

    with pytest.raises(GraphPEValueError, match="without an end"):
        JSONStream(endless).value()
    assert read < 6


def test_deep_nesting_is_an_error() -> None:
    with pytest.raises(GraphPEValueError, match="nested too deeply"):
        stream("[" * 200_000, 2**20).value()
