"""CSV and Parquet tables, with one clear line where one cannot be read."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from graphpe.arguments import shown
from graphpe.benchmarks.tasks.user.files.rows import Rows
from graphpe.benchmarks.tasks.user.files.separators import COMMA, WORDS, separator_of
from graphpe.errors import GraphPERuntimeError
from graphpe.files.reading import check_file


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
        text: Whether cells of a CSV file stay text as they are; an empty cell is then `""`, and `nan` a word. Cells may
            be separated by semicolons or tabs, too (`frame.attrs["separator"]`). Lines without anything are left out,
            and the index holds the line that each row begins in.

    Raises:
        GraphPERuntimeError: If it is missing, empty or cannot be read, or names a column twice.
    """
    import pandas

    if not path.exists() or path.is_dir():
        missing = "is a folder" if path.is_dir() else "is not there"
        raise GraphPERuntimeError(f"{path} {missing}: give the path of a CSV or Parquet file")
    check_file(path)
    try:
        if is_parquet(path):
            return pandas.read_parquet(path).reset_index(drop=True)
        if not text:
            return pandas.read_csv(path, header=0 if header else None)
        content = _text_of(path)
        separator = separator_of(content, path)
        # Without a header for pandas, which would rename a column that is there twice.
        rows = pandas.read_csv(
            io.StringIO(content), sep=separator, header=None, dtype=str, keep_default_na=False, skip_blank_lines=False
        )
    except GraphPERuntimeError:
        raise
    except ImportError:
        raise GraphPERuntimeError(
            f"{path}: Parquet is read by pyarrow, which is missing: pip install 'graphpe[parquet]'"
        ) from None
    except UnicodeDecodeError as error:
        raise GraphPERuntimeError(f"{path} is not in UTF-8 ({error.reason}): save it in that encoding") from None
    except pandas.errors.EmptyDataError:
        raise GraphPERuntimeError(f"{path} is empty, or its first line is: it must name the columns") from None
    except (OSError, EOFError, ValueError, zlib.error) as error:  # pandas' own errors are ValueErrors
        reason = " ".join(str(error).split())[:200]
        raise GraphPERuntimeError(f"{path} cannot be read ({type(error).__name__}: {reason})") from None
    frame = _with_header(rows, path)
    frame.attrs["separator"] = separator
    return frame


def separator_note(frame: Any, path: Path) -> list[str]:
    """A line about a table of `read_frame` whose cells are not separated by commas."""
    separator = frame.attrs.get("separator", COMMA)
    return [] if separator == COMMA else [f"{path}: cells are separated by {WORDS[separator]}"]


def table_rows(frames: Mapping[str, Any], paths: Mapping[str, Path]) -> Rows:
    """The rows of tables by part of a split, named by file and line."""
    names = {part: _row_namer(frame, paths[part]) for part, frame in frames.items()}
    return Rows({part: len(frame) for part, frame in frames.items()}, lambda part, row: names[part](row))


def column_of(frames: Mapping[str, Any], name: str) -> list[Any]:
    """The cells of a column of several tables, one after the other; None where one is missing.

    Every table must have the column.
    """
    import pandas

    cells = [cell for frame in frames.values() for cell in frame[name].tolist()]
    return [None if cell is pandas.NA or (isinstance(cell, float) and cell != cell) else cell for cell in cells]


def is_parquet(path: Path) -> bool:
    """Whether a file is a Parquet file, by its ending."""
    return path.suffix in (".parquet", ".pq")


def _row_namer(frame: Any, path: Path) -> Any:
    return partial(_row_name, frame.index, f"{path}, {'row' if is_parquet(path) else 'line'}")


def _row_name(index: Any, what: str, row: int) -> str:
    return f"{what} {index[row]}"


def _text_of(path: Path) -> str:
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8-sig")


def check_columns(frame: Any, names: Sequence[str], path: Path) -> None:
    """Reject a table that lacks one of some columns.

    Raises:
        GraphPERuntimeError: It lacks one; the message names those it has.
    """
    for name in names:
        if name not in frame:
            there = list(map(str, frame))
            alone = len(there) == 1 and set(there[0]) & set(" |:")
            hint = "; cells must be separated by commas, semicolons or tabs" if alone else ""
            raise GraphPERuntimeError(f"{path} has no column {name!r}, only {', '.join(map(repr, there))}{hint}")


def _with_header(rows: Any, path: Path) -> Any:
    """The first row as names, and the line of each row as its index."""
    # A cell in quotes may go over several lines.
    breaks = sum((rows[column].str.count("\n") for column in rows), start=rows.index * 0)
    rows.index = 1 + rows.index + (breaks.cumsum() - breaks).to_numpy()
    rows = rows[(rows != "").any(axis=1)]
    names = [name.strip() for name in rows.iloc[0].tolist()]  # as in "smiles, y"
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise GraphPERuntimeError(f"{path} has two columns {shown(twice)}: rename one")
    frame = rows.iloc[1:]
    frame.columns = names
    return frame
