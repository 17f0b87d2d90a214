from __future__ import annotations

from graphpe.benchmarks.measure.speed.counting import substructures


def test_tables(tmp_path):
    out = tmp_path / "table.md"
    substructures.main(["--whole", "30", "--graphs", "4", "--repeats", "1", "--data", str(tmp_path), "--out", str(out)])
    lines = out.read_text().splitlines()
    assert sum(line.startswith("| `HomomorphismPE(") for line in lines) == 2
    assert "| `HomomorphismPE('Connected(5)')` | 73 |" in out.read_text()
    ratios = [line.split("|")[-2].strip() for line in lines if line.endswith("x |")]
    assert len(ratios) == 4
    assert all(float(each[:-1].replace(",", "")) > 0 for each in ratios)
    assert lines[-1].strip().endswith("--whole 30 --graphs 4 --repeats 1")
