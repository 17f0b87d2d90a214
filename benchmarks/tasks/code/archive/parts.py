"""The parsed source of ogbg-code2, some functions to a file: what parallel processes write and one process reads."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path

import numpy as np

from graphpe.benchmarks.tasks.code.archive.codes import Codes
from graphpe.benchmarks.tasks.code.source.corpus import Corpus, merge_files
from graphpe.benchmarks.tasks.code.source.graphs import FunctionNodes, Ints, function_nodes
from graphpe.benchmarks.tasks.code.source.parse import PARSER_VERSION, ParsedFile, parse_function
from graphpe.benchmarks.tasks.code.source.read import parsed_or_reason
from graphpe.benchmarks.tasks.code.source.store import corpus_path, load_corpus, save_corpus
from graphpe.benchmarks.tasks.processes import in_processes
from graphpe.errors import GraphPEError, GraphPERuntimeError
from graphpe.progress import progress_bar


def parser_name() -> str:
    """What parses: two of one name give the same for every text."""
    version = ".".join(map(str, sys.version_info[:3]))
    return f"parser {PARSER_VERSION} of {platform.python_implementation()} {version}"


@dataclass(frozen=True)
class Part:
    """Functions that are parsed together.

    Attributes:
        codes: Their source.
        first: Number of the first one.
        folder: Where what was parsed is kept.
        source: Identifies the archive.
    """

    codes: Codes
    first: int
    folder: Path
    source: str

    @property
    def key(self) -> str:
        """Of what was parsed, in its folder."""
        text = f"{self.source} {self.first} {len(self.codes)} {parser_name()}"
        return blake2b(text.encode(), digest_size=16).hexdigest()

    def corpus(self) -> Corpus:
        """The functions as a corpus, a file each, named by its number; those that are not Python are skipped there."""
        try:
            found = load_corpus(self.folder, self.key)
        except GraphPERuntimeError:  # damaged
            found = None
        return self._parse() if found is None else found

    def _parse(self) -> Corpus:
        files: list[tuple[str, ParsedFile]] = []
        skipped: list[tuple[str, str]] = []
        for number, text in enumerate(self.codes.texts(), self.first):
            found = parsed_or_reason(partial(parse_function, text))
            if isinstance(found, ParsedFile):
                files.append((str(number), found))
            else:
                skipped.append((str(number), found))
        corpus = merge_files(files, skipped, self.key)
        save_corpus(corpus, self.folder)
        return corpus


def parsed_nodes(corpus: Corpus) -> tuple[FunctionNodes, Ints]:
    """The nodes of the functions that were parsed, the name hidden by OGB's rule; and their numbers.

    Args:
        corpus: Of a part.
    """
    functions = np.flatnonzero(np.diff(corpus.file, prepend=-1))  # the first of each file has the others in it
    numbers = np.array([int(name) for name in corpus.files], dtype=np.int64)
    return function_nodes(corpus, functions).masked("definition"), numbers


def parse_parts(parts: list[Part], *, workers: int, progress: bool) -> None:
    """Parse what is not parsed yet, in several processes. Killed, the next call goes on.

    Args:
        parts: All parts.
        workers: Processes.
        progress: Whether to show a bar.

    Raises:
        GraphPERuntimeError: A process dies, or what was parsed cannot be written.
    """
    missing = [part for part in parts if not corpus_path(part.folder, part.key).exists()]
    done = sum(len(part.codes) for part in parts) - sum(len(part.codes) for part in missing)
    with progress_bar(
        total=sum(len(part.codes) for part in parts),
        initial=done,
        desc="parse",
        unit="function",
        leave=False,
        disable=not progress,
    ) as bar:
        for count in in_processes(_parse, missing, workers, at_once=1):
            if isinstance(count, str):
                raise GraphPERuntimeError(count)
            bar.update(count)


def _parse(part: Part) -> int | str:
    """Parse a part in a process of its own; how many functions, or why it cannot be kept."""
    try:
        part.corpus()
    except OSError as error:
        return f"{part.folder} cannot be written: {error.strerror or error}"
    except GraphPEError as error:
        return str(error)
    return len(part.codes)
