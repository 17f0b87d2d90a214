from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest

from graphpe.storage.parallel import run_jobs


class Places:
    """Places where jobs are under way; those that began last end first, two at once."""

    def __init__(self) -> None:
        self.busy: dict[str, int] = {}
        self.most = 0
        self.begun: list[str] = []
        self.stopped: list[str] = []

    def begin(self, job: str, place: int) -> str:
        assert place not in self.busy.values()
        self.busy[job] = place
        self.begun.append(job)
        self.most = max(self.most, len(self.busy))
        return job

    def finished(self, handles: Sequence[str]) -> Iterator[tuple[str, str]]:
        assert list(handles) == list(self.busy)
        for job in list(handles)[-2:]:
            del self.busy[job]
            yield job, job.upper()

    def stop(self, handles: Sequence[str]) -> None:
        self.stopped = list(handles)


@pytest.mark.parametrize("at_once", [1, 2, 3, 9])
def test_every_job_is_done_once_and_no_place_has_two(at_once: int) -> None:
    places, jobs = Places(), list("abcdefg")
    results = list(run_jobs(jobs, at_once, begin=places.begin, finished=places.finished, stop=places.stop))
    assert sorted(results) == [(job, job.upper()) for job in jobs]
    assert places.begun == jobs
    assert places.most == min(at_once, len(jobs))
    assert places.stopped == []


def test_what_is_under_way_is_stopped_when_nobody_waits_for_it() -> None:
    places = Places()
    with closing(run_jobs("abcdef", 3, begin=places.begin, finished=places.finished, stop=places.stop)) as results:
        assert next(results) == ("b", "B")
    assert set(places.stopped) == {"a", "c", "d"}  # the next one had begun before the result was given


def test_a_job_that_cannot_begin_stops_the_others() -> None:
    places = Places()

    def begin(job: str, place: int) -> str:
        if job == "c":
            raise OSError("no process")
        return places.begin(job, place)

    with pytest.raises(OSError, match="no process"):
        list(run_jobs("abc", 3, begin=begin, finished=places.finished, stop=places.stop))
    assert places.stopped == ["a", "b"]
