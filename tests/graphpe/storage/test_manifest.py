from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from graphpe.errors import GraphPERuntimeError
from graphpe.storage.format import Column, Rows
from graphpe.storage.manifest import FORMAT, Manifest, _checksum, fingerprint

PATH = Path("somewhere/manifest.json")
MANIFEST = Manifest(
    library="1.2.3",
    transform="LaplacianPE(k=8, attr_name='ü')",
    device="cpu",
    shard_graphs=2,
    fingerprint="abc",
    objects=["name"],
    columns=[Column("node.x", "node", torch.float32, (4,)), Column("graph.y", "graph", torch.bool, ())],
    rows=Rows([0, 2, 3], [0, 5, 7], [0, 0, 4], [0, 13, 17], [0, 9, 30]),
    digests={"node.x": ["a", "b"], "graph.y": ["c", "d"]},
)


def test_round_trip() -> None:
    assert Manifest.from_json(MANIFEST.to_json(), PATH) == MANIFEST


def test_every_flipped_byte_is_noticed() -> None:
    text = MANIFEST.to_json().encode()
    for place in range(len(text)):
        for bit in (1, 4, 128):
            damaged = bytearray(text)
            damaged[place] ^= bit
            if json_equal(bytes(damaged), text):  # white space may become other white space
                continue
            with pytest.raises(GraphPERuntimeError, match=r"manifest.json is damaged") as error:
                Manifest.from_json(bytes(damaged), PATH)
            assert "\n" not in str(error.value)


def json_equal(a: bytes, b: bytes) -> bool:
    try:
        return json.loads(a) == json.loads(b)
    except ValueError:
        return False


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "3", '{"checksum": 3, "format": 1}', MANIFEST.to_json()[:-9]])
def test_what_is_no_manifest(text: str) -> None:
    with pytest.raises(
        GraphPERuntimeError,
        match=r"manifest.json is damaged, or not .*: choose another root, or move somewhere",
    ):
        Manifest.from_json(text, PATH)


def test_another_format_is_named() -> None:
    content = json.loads(MANIFEST.to_json())
    del content["checksum"]
    content["format"] = FORMAT + 1
    text = json.dumps({**content, "checksum": _checksum(content)})
    with pytest.raises(GraphPERuntimeError, match=rf"is of format {FORMAT + 1}, this graphpe reads format {FORMAT}"):
        Manifest.from_json(text, PATH)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"library": "9.9"}, "the version of graphpe 1.2.3, not 9.9"),
        ({"transform": "LaplacianPE(k=4)"}, "the transform LaplacianPE(k=8, attr_name='ü'), not LaplacianPE(k=4)"),
        ({"device": "cuda"}, "the device cpu, not cuda"),
        ({"shard_graphs": 3}, "the shard_graphs 2, not 3"),
        ({"fingerprint": "def"}, "the dataset (fingerprint) abc, not def"),
        ({"objects": []}, "holds other columns or shards"),
    ],
)
def test_a_difference_is_named(change: dict, said: str) -> None:
    with pytest.raises(GraphPERuntimeError) as error:
        MANIFEST.check_same(replace(MANIFEST, **change), Path("root"))
    assert said in str(error.value)
    MANIFEST.check_same(replace(MANIFEST, digests={}), Path("root"))


def test_fingerprint_depends_on_everything_but_the_order_of_keys() -> None:
    x, y = Column("node.x", "node", torch.float32, (2,)), Column("node.y", "node", torch.float32, (2,))
    a, b = torch.arange(6.0).reshape(3, 2), torch.zeros(3, 2)
    digest = fingerprint({x: a, y: b})
    assert fingerprint({y: b, x: a}) == digest
    others = [
        fingerprint({x: b, y: a}),
        fingerprint({x: a}),
        fingerprint({x: a.reshape(2, 3), y: b}),
        fingerprint({Column("node.x", "node", torch.int32, (2,)): a.view(torch.int32), y: b}),
        fingerprint({x: a, Column("edge.y", "edge", torch.float32, (2,)): b}),
    ]
    assert len({digest, *others}) == 6
