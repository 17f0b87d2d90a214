from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from graphpe.benchmarks.measure import model_curves


def test_a_table_and_a_picture(
    write_molecules: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_molecules(tmp_path / "data" / "ogbg_molesol", 24, [[float(i % 5)] for i in range(24)])
    monkeypatch.setattr(
        model_curves,
        "MODELS",
        {
            "GraphTransformer": ("GraphTransformer(width=8, layers=1, heads=2)", ("RandomWalkPE(walk_length=4)",)),
            "GRIT": ("GRIT(width=8, layers=1, heads=2)", ("RelativeRandomWalkPE(walk_length=4)",)),
        },
    )
    arguments = ["--task", "molesol", "--root", str(tmp_path / "data"), "--epochs", "2", "--batch-size", "4"]
    arguments += ["--folder", str(tmp_path / "runs"), "--out", str(tmp_path / "curves")]
    model_curves.main(arguments)
    text = (tmp_path / "curves.md").read_text()
    assert "| `GRIT(width=8" in text
    assert "| `GraphTransformer(width=8" in text
    assert "seconds an epoch" in text
    assert (tmp_path / "curves.png").stat().st_size > 5_000
    before = (tmp_path / "runs" / "GRIT" / "metrics.jsonl").read_bytes()
    model_curves.main(arguments)  # nothing is trained again
    assert (tmp_path / "runs" / "GRIT" / "metrics.jsonl").read_bytes() == before
