from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data

from graphpe.errors import GraphPERuntimeError
from graphpe.files.unpickling import load_pickle, load_saved


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def content() -> dict[str, object]:
    return {
        "tensors": [torch.rand(3, 2), torch.arange(4), torch.tensor(True)],
        "arrays": [np.arange(3.0), np.array(["a", "b"]), np.float64(2.5), np.int64(3), np.bool_(True)],
        "plain": (1, 2.5, "é", None, b"bytes", {1: [2]}),
        "ordered": OrderedDict(a=1),
    }


def check(found: dict[str, object], expected: dict[str, object]) -> None:
    assert all(torch.equal(a, b) for a, b in zip(found["tensors"], expected["tensors"], strict=True))  # type: ignore[call-overload]
    for a, b in zip(found["arrays"], expected["arrays"], strict=True):  # type: ignore[call-overload]
        assert type(a) is type(b)
        assert np.array_equal(a, b)
    assert found["plain"] == expected["plain"]
    assert found["ordered"] == expected["ordered"]


def test_data_comes_back(tmp_path: Path) -> None:
    expected, path = content(), tmp_path / "file"
    for zipped in (True, False):
        torch.save(expected, path, _use_new_zipfile_serialization=zipped)
        check(load_saved(path), expected)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        path.write_bytes(pickle.dumps(expected, protocol))
        check(load_pickle(path), expected)
    path.write_bytes(pickle.dumps(defaultdict(list, {1: [2, 3]})))
    assert load_pickle(path) == {1: [2, 3]}
    data = [Data(x=torch.rand(n, 2), edge_index=torch.tensor([[0], [n - 1]]), y=np.float32(n)) for n in (2, 3)]
    torch.save(Batch.from_data_list(data), path)
    found = load_saved(path)
    assert isinstance(found, Batch)
    assert all(torch.equal(found[i].x, data[i].x) for i in range(2))


def test_nothing_is_executed(tmp_path: Path) -> None:
    path, sign = tmp_path / "file", tmp_path / "executed"
    for wrapped in (Payload(sign), [torch.zeros(2), Payload(sign)], Data(x=Payload(sign))):
        for zipped in (True, False):
            torch.save(wrapped, path, _use_new_zipfile_serialization=zipped)
            with pytest.raises(GraphPERuntimeError, match=r"holds posix.mkdir, which could only be read by executing"):
                load_saved(path)
        path.write_bytes(pickle.dumps(wrapped))
        with pytest.raises(GraphPERuntimeError, match="could only be read by executing"):
            load_pickle(path)
    # The memory of a tensor in a plain pickle is a file of torch.save of its own.
    torch.save(Payload(sign), path)
    inner = path.read_bytes()

    class Nested:
        def __reduce__(self):
            return torch.storage._load_from_bytes, (inner,)

    path.write_bytes(pickle.dumps(Nested()))
    with pytest.raises(GraphPERuntimeError):
        load_pickle(path)

    class Codec:
        def __reduce__(self):
            import codecs

            return codecs.encode, ("text", "rot13")

    path.write_bytes(pickle.dumps(Codec()))
    with pytest.raises(GraphPERuntimeError, match=r"bytes as 'rot13'|executing"):
        load_pickle(path)
    assert not sign.exists()


def test_no_flipped_bit_of_an_archive_passes(tmp_path: Path) -> None:
    """Of its directory or its content: the same tensors, or one line."""
    expected, path = [torch.arange(40.0), torch.arange(9)], tmp_path / "file.pt"
    torch.save(expected, path)
    original = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        start, names = archive.start_dir, [entry.filename for entry in archive.infolist()]
    flips = [(int(torch.randint(start, len(original), ())), int(torch.randint(8, ()))) for _ in range(300)]
    flips += [(int(torch.randint(start, ())), int(torch.randint(8, ()))) for _ in range(60)]
    for name in names:  # 8 bytes before the name: attributes, where one bit makes torch read another entry
        flips += [(original.index(name.encode(), start) - 8, bit) for bit in range(8)]
    silent = 0
    for position, bit in flips:
        changed = bytearray(original)
        changed[position] ^= 1 << bit
        path.write_bytes(bytes(changed))
        try:
            found = load_saved(path)
        except GraphPERuntimeError:
            continue
        silent += not (torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1]))
    assert silent == 0


def test_what_may_never_end_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pt")
    (tmp_path / "zero.pt").symlink_to("/dev/zero")
    for name, message in (("pipe.pt", "is a pipe"), ("zero.pt", "is a device")):
        for read in (load_saved, load_pickle):
            with pytest.raises(GraphPERuntimeError, match=message):
                read(tmp_path / name)
