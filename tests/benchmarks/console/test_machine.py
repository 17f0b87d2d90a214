from __future__ import annotations

import json
import os
import platform
import subprocess

import numpy as np
import pytest
import torch

from graphpe.benchmarks.console.machine import machine, machine_text


def test_what_a_process_runs_on() -> None:
    found = machine("cpu", "scipy")
    assert json.loads(json.dumps(found)) == found
    assert (found["cores"], found["device"], found["system"]) == (os.cpu_count(), "cpu", platform.system())
    assert found["versions"]["torch"] == torch.__version__
    assert found["versions"]["numpy"] == np.__version__
    text = machine_text(found)
    assert f"{torch.get_num_threads()} thread(s) of {os.cpu_count()} cores" in text
    assert f"Python {platform.python_version()}, torch {torch.__version__}, PyG " in text
    assert text.count("\n") == 0
    assert machine_text({}) == ""


@pytest.mark.skipif(platform.system() != "Linux", reason="asks lscpu")
def test_the_processor_is_that_of_the_system() -> None:
    try:
        said = subprocess.run(["lscpu"], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}).stdout
    except OSError:
        pytest.skip("there is no lscpu")
    names = [line.partition(":")[2].strip() for line in said.splitlines() if line.startswith("Model name")]
    if not names or names[0] == "-":
        pytest.skip("lscpu does not know the processor")
    assert machine()["processor"] == names[0]


def test_a_device_is_named_before_the_processor() -> None:
    found = {**machine(), "device": "NVIDIA H200"}
    assert machine_text(found) == f"NVIDIA H200, {machine_text(machine())}"
