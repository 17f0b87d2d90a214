from __future__ import annotations

import math
import os
import time

import numpy as np
import pytest

from graphpe.benchmarks.measure.limited import OUT_OF_CPU, Stopped, call_limited, limit_cpu


def test_the_result_comes_back():
    assert call_limited(math.hypot, 3, 4, seconds=10) == 5


def test_another_process():
    assert call_limited(os.getpid, seconds=10) != os.getpid()


def test_out_of_time():
    begin = time.perf_counter()
    with pytest.raises(Stopped, match=r"^> 0.2 s$"):
        call_limited(time.sleep, 60, seconds=0.2)
    assert time.perf_counter() - begin < 20


def test_out_of_memory():
    with pytest.raises(Stopped, match="memory"):
        call_limited(np.ones, 10**10, seconds=10, gigabytes=20)


def test_an_error_is_told():
    with pytest.raises(Stopped, match=r"^ValueError: "):
        call_limited(math.sqrt, -1, seconds=10)


def test_the_end_of_the_process_is_told():
    with pytest.raises(Stopped, match="killed"):
        call_limited(os._exit, 3, seconds=10)


def test_out_of_processor_time():
    module = limit_cpu.__module__  # the child cannot import this file
    code = f"from {module} import limit_cpu\nlimit_cpu(0.1)\nwhile True:\n    pass"
    with pytest.raises(Stopped, match=OUT_OF_CPU):
        call_limited(exec, code, seconds=100)
