"""What a run or a measurement was made on: processor, threads, device and versions."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch_geometric

import graphpe


def machine(device: torch.device | str = "cpu", *packages: str) -> dict[str, Any]:
    """The machine of this process as plain values; not its name.

    Args:
        device: Where the work is done; a GPU is called by its model.
        packages: Further packages whose versions matter.

    Returns:
        `processor` (the model, as far as the system says it), `architecture`, `system`, `cores` (of the machine),
        `threads` (of torch, in this process), `device` and `versions`, by the package's name.
    """
    device = torch.device(device)
    versions = {
        "graphpe": graphpe.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torch_geometric": torch_geometric.__version__,
        "numpy": np.__version__,
    }
    return {
        "processor": _processor(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "versions": versions | {name: version(name) for name in packages},
    }


def machine_text(found: Mapping[str, Any]) -> str:
    """A machine in one line; empty where nothing is known.

    Args:
        found: As `machine` gives it.
    """
    if not found:
        return ""
    places = [found["device"]] if found["device"] != "cpu" else []
    places += [f"{found['system']} {found['architecture']}", *([found["processor"]] if found["processor"] else [])]
    names = {"python": "Python", "torch_geometric": "PyG"}
    versions = ", ".join(f"{names.get(name, name)} {text}" for name, text in found["versions"].items())
    return f"{', '.join(places)}, {found['threads']} thread(s) of {found['cores']} cores; {versions}"


@cache
def _processor() -> str:
    """The model of the processor; empty where the system does not say it."""
    try:
        if platform.system() == "Linux":
            lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
            return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
        if platform.system() == "Darwin":
            asked = ["sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
    return platform.processor()
