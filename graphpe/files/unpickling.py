"""Files of `torch.save` and of `pickle`, read so that nothing in them is executed.

A pickle is a program. These readers take from it what data is made of (tensors, arrays, numbers, texts, containers and
PyG's `Data`) and refuse every other name before anything behind it is imported or called.
"""

from __future__ import annotations

import io
import pickle
import re
import warnings
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix

from graphpe.errors import GraphPERuntimeError
from graphpe.files.reading import check_file

_ZIP = b"PK\x03\x04"
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How files of `torch.save` begin: since torch 1.6, and before."""

_MS_DOS_FOLDER = 0x10


def load_saved(path: Path) -> Any:
    """What `torch.save` wrote: tensors, arrays, numbers, texts, containers and PyG's `Data` and `Batch`.

    The checksums of the archive, which `torch.load` does not look at, are compared first.

    Args:
        path: The file.

    Raises:
        GraphPERuntimeError: It is no such file, it is damaged, or it holds something else; nothing was executed.
    """
    check_file(path)
    try:
        with path.open("rb") as file:
            start = file.read(len(_LEGACY))
        if start.startswith(_ZIP):
            _check_archive(path)
        elif start != _LEGACY:
            what = "it is a plain pickle" if start[:1] == b"\x80" else f"it begins with {start[:8]!r}"
            raise GraphPERuntimeError(f"{path} is no file that torch.save wrote: {what if start else 'it is empty'}")
        with torch.serialization.safe_globals(saved_types()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of old files before it fails to read them
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise GraphPERuntimeError(f"{path} cannot be read: {error.strerror or error}") from None
    except GraphPERuntimeError:
        raise
    except Exception as error:  # the reader of a damaged or foreign file fails in any way: all mean that it is no data
        raise _unreadable(path, error) from None


def load_pickle(path: Path, *, encoding: str = "ASCII") -> Any:
    """What `pickle.dump` wrote: tensors, arrays, SciPy's CSR matrices, numbers, texts and containers.

    Args:
        path: The file.
        encoding: Of texts that Python 2 wrote.

    Raises:
        GraphPERuntimeError: It is no such file, it is damaged, or it holds something else; nothing was executed.
    """
    check_file(path)
    try:
        with path.open("rb") as file:
            return _Restricted(file, encoding=encoding).load()
    except OSError as error:
        raise GraphPERuntimeError(f"{path} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # as above
        raise _unreadable(path, error) from None


@cache
def saved_types() -> list[Any]:
    """What `torch.load` may find in a file beside tensors and containers, under the names that it looks up."""
    from torch_geometric.data import Batch
    from torch_geometric.data.data import Data, DataEdgeAttr, DataTensorAttr
    from torch_geometric.data.storage import GlobalStorage

    batch = type(Batch(_base_cls=Data))
    arrays: list[Any] = [
        (function, f"numpy.{core}.{name}") for core in ("core", "_core") for name, function in _array_makers().items()
    ]
    dtypes = [type(np.dtype(code)) for code in "?bhilqBHILQefdgFDGSUOmM"]
    return [
        *(Data, DataEdgeAttr, DataTensorAttr, GlobalStorage, Batch, batch),
        (_make_batch, _name_of(_make_batch)),
        (_BatchMaker, "torch_geometric.data.batch.DynamicInheritanceGetter"),
        *(np.ndarray, np.dtype, *dict.fromkeys(dtypes)),
        *arrays,
        (_latin1, "_codecs.encode"),
    ]


class _BatchMaker:
    """Stands for the object by which PyG has a `Batch` of `Data` made: torch calls plain functions only."""

    def __new__(cls) -> Any:
        return _make_batch


def _make_batch(batch: Any, base: Any) -> Any:
    return batch(_base_cls=base)


def _name_of(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _latin1(text: str, encoding: str) -> bytes:
    """The only use that pickles of bytes make of `codecs.encode`, which could import a codec of any name."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"it holds bytes as {encoding!r}")
    return text.encode("latin1")


@cache
def _array_makers() -> dict[str, Any]:
    """The functions by which pickles make NumPy's arrays and scalars, by their place in NumPy."""
    makers = {}
    for place, value, protocol in (
        ("multiarray", np.empty(0), 2),
        ("multiarray", np.float64(0), 2),
        ("numeric", np.empty(0), 5),
    ):
        function: Any = value.__reduce_ex__(protocol)[0]
        makers[f"{place}.{function.__name__}"] = function
    return makers


class _Restricted(pickle.Unpickler):
    """An unpickler that knows data and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """What a name in the pickle stands for."""
        known: dict[str, Any] = {
            "collections.OrderedDict": OrderedDict,
            "collections.defaultdict": defaultdict,
            **{f"{builtins}.list": list for builtins in ("builtins", "__builtin__")},
            "numpy.ndarray": np.ndarray,
            "numpy.dtype": np.dtype,
            "_codecs.encode": _latin1,
            "torch.storage._load_from_bytes": _storage,
            "torch._utils._rebuild_tensor_v2": _tensor,
            **{f"scipy.sparse.{place}.csr_matrix": _SavedRows for place in ("csr", "_csr")},
        }
        for core in ("core", "_core"):
            known |= {f"numpy.{core}.{place}": function for place, function in _array_makers().items()}
        full = f"{module}.{name}"
        if full not in known:
            raise pickle.UnpicklingError(f"it holds {full}")
        return known[full]


class _SavedRows:
    """A CSR matrix as its pickle has it: SciPy's own class would trust indices that lead out of the arrays."""

    def todense(self) -> np.ndarray:
        """The matrix, dense."""
        parts = vars(self)
        found = csr_matrix((parts["data"], parts["indices"], parts["indptr"]), parts.get("_shape", parts.get("shape")))
        found.check_format(full_check=True)
        return found.toarray()


def _storage(content: bytes) -> Any:
    """The memory of a tensor in a plain pickle: torch's own function would unpickle it without limits."""
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _tensor(storage: Any, offset: int, size: Any, stride: Any, *_: Any) -> torch.Tensor:
    return torch._utils._rebuild_tensor_v2(storage, offset, size, stride, False, OrderedDict())


def _check_archive(path: Path) -> None:
    """Compare the checksums of a zip archive, and what its directory says twice."""
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            # Where one of these is not as torch writes it, torch and `zipfile` would read different bytes.
            stored = entry.compress_type == zipfile.ZIP_STORED and entry.compress_size == entry.file_size
            if not stored or entry.external_attr & _MS_DOS_FOLDER:
                raise zipfile.BadZipFile(f"directory entry of {entry.filename}")
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"checksum of {damaged}")


def _unreadable(path: Path, error: Exception) -> GraphPERuntimeError:
    """What a reader said, as one line."""
    text = " ".join(str(error).split())
    forbidden = re.search(r"(?:GLOBAL|it holds) ([\w.]+)", text)
    if forbidden and isinstance(error, pickle.UnpicklingError):
        return GraphPERuntimeError(
            f"{path} holds {forbidden[1]}, which could only be read by executing the file: expected tensors, arrays, "
            "numbers, texts and PyG Data"
        )
    return GraphPERuntimeError(f"{path} is damaged or of another kind ({type(error).__name__}: {text[:80]})")
