from __future__ import annotations

from graphpe import transforms as T
from graphpe.benchmarks.measure.speed import per_graph
from graphpe.benchmarks.measure.speed.per_graph import Row


def test_table(tmp_path, monkeypatch):
    calls = []

    def ours(data):
        calls.append(isinstance(data, list))
        return T.DegreePE()(data)

    monkeypatch.setattr(per_graph, "rows", lambda: {"mine": Row(ours, lambda data: data), "alone": Row(ours)})
    out = tmp_path / "table.md"
    per_graph.main(["--graphs", "9", "--repeats", "2", "--data", str(tmp_path), "--out", str(out)])
    rows = [line.split("|") for line in out.read_text().splitlines() if line.startswith(("| mine", "| alone"))]
    assert rows[0][4].strip().endswith("x")
    assert float(rows[0][2]) > 0
    assert [cell.strip() for cell in rows[1]][3:5] == ["", ""]
    assert calls.count(True) == 6
