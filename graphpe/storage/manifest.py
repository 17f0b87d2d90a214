"""The manifest of an encoded dataset: all that decides its bytes, and a checksum of every part of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from graphpe.errors import GraphPERuntimeError
from graphpe.storage.format import DTYPES, Column, Layout, Rows, as_bytes

FORMAT = 1
"""Version of the files; a reader refuses any other."""


@dataclass(frozen=True)
class Manifest:
    """What an encoded dataset holds, and how it was made.

    Attributes:
        library: Version of graphpe that encodes.
        transform: The encoding's `repr`: the call that builds it, with every parameter.
        device: `"cpu"` or `"cuda"`.
        shard_graphs: Graphs in a shard, at most.
        fingerprint: Of the graphs and all their values before encoding.
        objects: Keys of Python objects.
        columns: The columns.
        rows: Where shards begin and end.
        digests: Of each shard's rows, by the column's name; empty while encoding.
    """

    library: str
    transform: str
    device: str
    shard_graphs: int
    fingerprint: str
    objects: list[str]
    columns: list[Column]
    rows: Rows
    digests: dict[str, list[str]]

    def layout(self) -> Layout:
        """Where everything stands in the file."""
        return Layout(self.columns, self.rows)

    def with_digests(self, digests: Mapping[str, list[str]]) -> Manifest:
        """The manifest of the finished dataset.

        Args:
            digests: Checksums of each column's shards, by the column's name.
        """
        return replace(self, digests=dict(digests))

    def parameters(self) -> dict[str, Any]:
        """What has to be equal for two encodings to have the same bytes, in the order in which differences are told."""
        names = ("library", "transform", "device", "shard_graphs", "fingerprint")
        return {name: getattr(self, name) for name in names}

    def check_same(self, wanted: Manifest, root: Path) -> None:
        """Raise unless the dataset at `root`, which this manifest describes, is the one that is wanted.

        Args:
            wanted: The manifest of what is wanted.
            root: The dataset's folder, for the message.

        Raises:
            GraphPERuntimeError: It is another one; the message names the first difference.
        """
        said = {"library": "version of graphpe", "fingerprint": "dataset (fingerprint)"}
        mine, other = self.parameters(), wanted.parameters()
        for name in mine:
            if mine[name] != other[name]:
                raise GraphPERuntimeError(
                    f"{root} was encoded with the {said.get(name, name)} {mine[name]}, not {other[name]}: "
                    "choose another root, or move that one away"
                )
        if (set(self.columns), self.rows, self.objects) != (set(wanted.columns), wanted.rows, wanted.objects):
            raise GraphPERuntimeError(
                f"{root} holds other columns or shards: choose another root, or move that one away"
            )

    def to_json(self) -> str:
        """The text of `manifest.json`, one line, with a checksum of itself."""
        columns = [
            {"name": each.name, "rows": each.rows, "dtype": _dtype_name(each.dtype), "shape": list(each.shape)}
            for each in self.columns
        ]
        content = {**vars(self), "columns": columns, "rows": self.rows._asdict()}
        content = {"format": FORMAT, "num_graphs": self.rows.graph[-1], **content}
        return json.dumps({**content, "checksum": _checksum(content)})

    @classmethod
    def from_json(cls, text: str | bytes, path: Path) -> Manifest:
        """The manifest from its text.

        Args:
            text: The text.
            path: The file it is from, for the message.

        Raises:
            GraphPERuntimeError: It is damaged, or of another format.
        """
        try:
            content = json.loads(text)
            checksum, version = content.pop("checksum"), content.pop("format")
            if version != FORMAT and checksum == _checksum({"format": version, **content}):
                raise GraphPERuntimeError(
                    f"{path} is of format {version}, this graphpe reads format {FORMAT}: "
                    f"use graphpe {content.get('library')}, or encode again"
                )
            if checksum != _checksum({"format": version, **content}):
                raise ValueError("its checksum differs")
            del content["num_graphs"]
            content["columns"] = [
                Column(each["name"], each["rows"], DTYPES[each["dtype"]], tuple(each["shape"]))
                for each in content["columns"]
            ]
            content["rows"] = _checked_rows(content["rows"])
            return cls(**content)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise GraphPERuntimeError(
                f"{path} is damaged, or not graphpe's ({error}): choose another root, or move {path.parent} away"
            ) from None


def _checked_rows(content: dict[str, Any]) -> Rows:
    """Where shards begin and end: numbers from 0 on that never fall, one more than there are shards.

    Raises:
        ValueError: They are something else.
    """
    rows = Rows(**content)
    for starts in rows:
        whole = isinstance(starts, list) and all(type(start) is int for start in starts)
        if not whole or not starts or len(starts) != len(rows.graph) or starts[0] != 0 or starts != sorted(starts):
            raise ValueError("its shards have no order")
    return rows


def fingerprint(columns: Mapping[Column, Tensor]) -> str:
    """A digest of graphs and all their values, whatever the order of their keys.

    Args:
        columns: The values by column.
    """
    digest = hashlib.blake2b(digest_size=16)
    for column, value in sorted(columns.items(), key=lambda item: item[0].name):
        digest.update(f"{column.name} {_dtype_name(column.dtype)} {list(value.shape)};".encode())
        digest.update(as_bytes(value).data)
    return digest.hexdigest()


def digest_of(pieces: list[NDArray[Any]]) -> str:
    """The checksum of a shard's rows of a column.

    Args:
        pieces: The bytes of the rows, in the file's order.
    """
    digest = hashlib.blake2b(digest_size=16)
    for piece in pieces:
        digest.update(piece.data)
    return digest.hexdigest()


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()


def _dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
