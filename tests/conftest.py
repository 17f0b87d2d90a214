from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


def _find_shared_data() -> Path | None:
    """The folder of real datasets: `GRAPHPE_DATA`, or `shared/data` beside the checkout."""
    named = os.environ.get("GRAPHPE_DATA")
    for folder in [Path(named)] if named else [Path(__file__).resolve().parents[2] / "shared" / "data"]:
        if folder.is_dir():
            return folder
    return None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = _find_shared_data()
    if folder is None:
        pytest.skip("real datasets are not here: set GRAPHPE_DATA to a folder that holds them")
    return folder


@pytest.fixture(scope="session")
def golden(shared_data: Path) -> Path:
    folder = shared_data.parent / "reference" / "golden"
    if not folder.is_dir():
        pytest.skip("values computed by the published code are not here")
    return folder
