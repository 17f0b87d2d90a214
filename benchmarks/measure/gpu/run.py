"""One run on a device: its clock, its sections, and a file of results that is there from the first record on."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from graphpe.benchmarks.measure.limited import Stopped
from graphpe.benchmarks.measure.pretend.accelerator import move_module
from graphpe.benchmarks.measure.pretend.tensors import NAME
from graphpe.files.atomic import write_atomically

Record = dict[str, Any]


class Run:
    """Measures, and writes down what came out or why nothing did.

    Attributes:
        device: What is measured.
        small: Sizes for a rehearsal.
        data: Folder with real molecules, or None.
        limit: Seconds for one call of a peer.
        out: `OUT.json` and `OUT.md` are written anew after every record.
        machine: What it runs on.
        records: One for each thing that was tried.
    """

    def __init__(
        self,
        device: torch.device,
        out: Path,
        machine: Record,
        *,
        small: bool = False,
        data: Path | None = None,
        budget: float = 465,
        limit: float = 8,
    ) -> None:
        self.device, self.out, self.machine = device, out, machine
        self.small, self.data, self.limit = small, data, limit
        self.records: list[Record] = []
        self._begin = time.perf_counter()
        self._end = self._section_end = self._begin + budget
        self._section = ""

    @property
    def left(self) -> float:
        """Seconds that are left, of this section and of all."""
        return min(self._end, self._section_end) - time.perf_counter()

    def section(self, name: str, function: Callable[[Run], None], seconds: float) -> None:
        """Run a section with a time limit of its own.

        Args:
            name: Its name.
            function: What adds records.
            seconds: Its limit: what it has no time for is named and left out.
        """
        self._section, self._section_end = name, time.perf_counter() + seconds
        try:
            function(self)
        except Exception as error:  # one section must not cost the others their run
            self._keep({"section": name, "what": "the section", "left_out": _one_line(error)})

    def add(self, what: str, measured: Callable[[], Record], *, needs: float = 2) -> Record:
        """Measure and keep, or keep why not.

        Args:
            what: What is measured.
            measured: Gives the figures.
            needs: Seconds that have to be left.
        """
        record: Record = {"section": self._section, "what": what}
        if self.left < needs:
            record["left_out"] = "no time left"
        else:
            try:
                record |= measured()
            except Stopped as stopped:
                record["left_out"] = str(stopped)
            except Exception as error:  # one failure must not cost the others their run
                record["left_out"] = _one_line(error)
        return self._keep(record)

    def _keep(self, record: Record) -> Record:
        self.records.append(record)
        print(say(record), flush=True)
        self.machine["seconds"] = round(time.perf_counter() - self._begin, 1)
        write_atomically(
            self.out.with_suffix(".json"),
            json.dumps({"machine": self.machine, "records": self.records}, indent=1) + "\n",
        )
        write_atomically(self.out.with_suffix(".md"), table(self.machine, self.records))
        return record

    def place(self, model: nn.Module) -> nn.Module:
        """A model on the device."""
        return move_module(model) if self.device.type == NAME else model.to(self.device)

    def wait(self) -> None:
        """Until the device has finished."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def seconds(self, function: Callable[[], Any], *, repeats: int = 5) -> float:
        """Median seconds of calls after one for warming up; fewer where they are long.

        Args:
            function: What is timed.
            repeats: The most calls.
        """
        taken: list[float] = []
        for turn in range(repeats + 1):
            self.wait()
            begin = time.perf_counter()
            function()
            self.wait()
            once = time.perf_counter() - begin
            if turn:
                taken.append(once)
            if turn and (once > 3 or self.left < 2 * once):
                break
        return statistics.median(taken)

    def peak(self, function: Callable[[], Any]) -> float | None:
        """GB that a call holds on the device at most; None where that is not counted."""
        if self.device.type != "cuda":
            function()
            return None
        torch.cuda.reset_peak_memory_stats(self.device)
        function()
        self.wait()
        return torch.cuda.max_memory_allocated(self.device) / 1e9


def table(machine: Record, records: Sequence[Record]) -> str:
    """All records as Markdown, a table for each section with the columns that it has."""
    lines: list[str] = []
    for section in dict.fromkeys(record["section"] for record in records):
        some = [record for record in records if record["section"] == section]
        columns = list(dict.fromkeys(name for record in some for name in record if name != "section"))
        lines += [
            "",
            f"## {section}",
            "",
            _row(name.replace("_", " ") for name in columns),
            _row("---" for _ in columns),
        ]
        lines += [_row(cell(record.get(name)) for name in columns) for record in some]
    wrong = sum(not record.get("right", True) for record in records)
    left_out = sum("left_out" in record for record in records)
    about = ", ".join(f"{name} {value}" for name, value in machine.items())
    return "\n".join(["# One GPU", *lines, "", f"{wrong} checks failed, {left_out} left out. {about}."]) + "\n"


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def cell(value: Any) -> str:
    """A value in a table."""
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def say(record: Record) -> str:
    """A record as a line."""
    return ", ".join(
        cell(value) if name in ("section", "what") else f"{name} {cell(value)}" for name, value in record.items()
    )


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
