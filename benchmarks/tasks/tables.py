"""CSV and Parquet tables, with one clear line where one cannot be read."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

from graphpe.errors import GraphPERuntimeError


def read_table(folder: Path, name: str, *, header: bool = True) -> Any:
    """The table `name.csv.gz` or `name.csv` of a folder, as a pandas DataFrame.

    Raises:
        GraphPERuntimeError: If there is none, or it cannot be read.
    """
    paths = [folder / f"{name}.csv.gz", folder / f"{name}.csv"]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise GraphPERuntimeError(f"{name}.csv (or {name}.csv.gz) is not in {folder}: put the data there")
    return read_frame(path, header=header)


def read_frame(path: Path, *, header: bool = True, text: bool = False) -> Any:
    """A CSV file (gzipped or not) or a Parquet file, by its ending, as a pandas DataFrame.

    Args:
        path: The file.
        header: Whether the first line of a CSV file names the columns.
        text: Whether cells of a CSV file stay text as they are; an empty cell is then `""`, and `nan` a word.

    Raises:
        GraphPERuntimeError: If it is missing, empty or cannot be read.
    """
    import pandas

    if not path.is_file():
        raise GraphPERuntimeError(f"{path} is not there: give the path of a CSV or Parquet file")
    try:
        if path.suffix in (".parquet", ".pq"):
            return pandas.read_parquet(path)
        options: dict[str, Any] = {"dtype": str, "keep_default_na": False} if text else {}
        return pandas.read_csv(path, header=0 if header else None, skip_blank_lines=not text, **options)
    except ImportError as error:
        raise GraphPERuntimeError(f"{path}: pandas reads Parquet through pyarrow, which is missing ({error})") from None
    except (OSError, EOFError, ValueError, zlib.error) as error:  # pandas' own errors are ValueErrors
        reason = " ".join(str(error).split())[:200]
        raise GraphPERuntimeError(f"{path} cannot be read ({type(error).__name__}: {reason})") from None
