"""Tables on disk, by the ending of their file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.files.atomic import write_atomically

_ENDINGS = (".csv", ".csv.gz", ".tsv", ".json", ".jsonl", ".parquet")


def check_table_path(path: Path) -> None:
    """Refuse a file that `write_frame` could not write, before there is anything to write.

    Raises:
        GraphPEValueError: Its ending is not known.
        GraphPERuntimeError: It is a folder, its folder is not there, or pyarrow is missing for Parquet.
    """
    if not any(path.name.endswith(ending) for ending in _ENDINGS):
        raise GraphPEValueError(f"{path}: tables are written as {', '.join(_ENDINGS)}; give one of these endings")
    if path.is_dir() or not path.parent.is_dir():
        what = "is a folder" if path.is_dir() else f"cannot be written: there is no folder {path.parent}"
        raise GraphPERuntimeError(f"{path} {what}")
    if path.suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise GraphPERuntimeError(
                f"{path}: Parquet is written by pyarrow, which is missing: pip install 'graphpe[parquet]'"
            ) from None


def write_frame(frame: Any, path: Path) -> None:
    """Write a table, whole or not at all, by the path's ending; numbers to seven digits, as float32 has them.

    Raises:
        GraphPEError: As for `check_table_path`, or it cannot be written.
    """
    check_table_path(path)
    buffer = io.BytesIO()
    if path.suffix == ".parquet":
        frame.to_parquet(buffer, index=False)
    elif path.suffix in (".json", ".jsonl"):
        frame.to_json(buffer, orient="records", lines=True, force_ascii=False)
    else:
        frame.to_csv(
            buffer,
            index=False,
            sep="\t" if path.suffix == ".tsv" else ",",
            float_format="%.7g",
            compression="gzip" if path.suffix == ".gz" else None,
        )
    try:
        write_atomically(path, buffer.getbuffer())
    except OSError as error:
        raise GraphPERuntimeError(f"could not write {path}: {error.strerror or error}") from None
