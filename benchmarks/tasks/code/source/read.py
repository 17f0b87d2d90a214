"""From a source tree to a corpus: files are found, parsed by several processes, and kept for the next time."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from graphpe.benchmarks.tasks.code.source.corpus import Corpus, merge_files
from graphpe.benchmarks.tasks.code.source.files import SourceTree, digest_files, read_source
from graphpe.benchmarks.tasks.code.source.parse import PARSER_VERSION, ParsedFile, parse_source
from graphpe.benchmarks.tasks.code.source.store import load_corpus, save_corpus
from graphpe.benchmarks.tasks.processes import cores, in_processes
from graphpe.errors import GraphPEError
from graphpe.progress import progress_bar

SMALL = 500_000
"""Bytes of source that one process parses sooner than others would start."""


def read_corpus(
    tree: SourceTree,
    *,
    dataflow: bool = False,
    workers: int = 0,
    cache: Path | None = None,
    progress: bool = True,
) -> tuple[Corpus, list[str]]:
    """Parse every file of a source tree, or take the result from the cache.

    The result does not depend on `workers`. A file that cannot be read or parsed is counted and named, not fatal.

    Args:
        tree: What `find_sources` found.
        dataflow: Whether to find the edges of data flow.
        workers: Processes; 0 means as many as there are cores.
        cache: Folder in which the result is kept, under a key made of the files' paths and contents, the Python
            version, the parser's version and `dataflow`; None means that nothing is kept.
        progress: Whether to show a bar.

    Returns:
        The corpus, and lines worth telling the user.

    Raises:
        GraphPERuntimeError: If a process dies while parsing.
    """
    digests, size = digest_files(tree.files)
    key = _key(tree, digests, dataflow)
    notes: list[str] = []
    if cache is not None:
        try:
            corpus = load_corpus(cache, key)
        except GraphPEError as error:
            notes.append(f"{error}; parsed again")
        else:
            if corpus is not None:
                return corpus, [f"parsed source taken from {cache}", *describe_skipped(corpus.skipped)]
    if workers <= 0:
        workers = cores()
    if size < SMALL:
        workers = 1
    files: list[tuple[str, ParsedFile]] = []
    skipped = list(tree.unreadable)
    parse = partial(parse_file, dataflow=dataflow)
    results = in_processes(parse, [file.path for file in tree.files], workers, at_once=4)
    bar = progress_bar(results, total=len(tree.files), desc="parse", unit="file", leave=False, disable=not progress)
    for file, result in zip(tree.files, bar, strict=True):
        if isinstance(result, ParsedFile):
            files.append((file.shown, result))
        else:
            skipped.append((file.shown, result))
    corpus = merge_files(files, skipped, key)
    # A file that was written meanwhile must not be kept under the key of its old content.
    if cache is not None and digest_files(tree.files)[0] == digests:
        try:
            save_corpus(corpus, cache)
        except OSError as error:
            notes.append(f"parsed source is not kept: {cache} cannot be written ({error.strerror})")
    return corpus, notes + describe_skipped(corpus.skipped)


def parse_file(path: Path, *, dataflow: bool = False) -> ParsedFile | str:
    """Parse a file; where it cannot be read or parsed, the reason."""
    return parsed_or_reason(lambda: parse_source(read_source(path), dataflow=dataflow))


def parsed_or_reason(parse: Callable[[], ParsedFile]) -> ParsedFile | str:
    """What a parser gives; where it cannot read or parse its source, the reason."""
    try:
        return parse()
    except OSError as error:
        return error.strerror or type(error).__name__
    except SyntaxError as error:
        return f"{error.msg} (line {error.lineno})" if error.lineno else str(error.msg)
    except (ValueError, OverflowError) as error:
        return str(error)
    except (RecursionError, MemoryError):
        return "nested too deeply"


def describe_skipped(skipped: list[tuple[str, str]]) -> list[str]:
    """One line that counts and names what was skipped; none where nothing was."""
    if not skipped:
        return []
    named = ", ".join(f"{path}: {reason}" for path, reason in skipped[:5])
    more = f" and {len(skipped) - 5} more" if len(skipped) > 5 else ""
    return [f"skipped {len(skipped)} broken or unreadable {'path' if len(skipped) == 1 else 'paths'}: {named}{more}"]


def _key(tree: SourceTree, digests: list[str], dataflow: bool) -> str:
    about = {
        "parser": PARSER_VERSION,
        "dataflow": dataflow,
        "python": [platform.python_implementation(), *sys.version_info[:3]],
        "files": [[file.shown, digest] for file, digest in zip(tree.files, digests, strict=True)],
        "unreadable": tree.unreadable,
    }
    return hashlib.blake2b(json.dumps(about).encode(), digest_size=16).hexdigest()
