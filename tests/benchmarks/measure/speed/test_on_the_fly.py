from __future__ import annotations

import re

from graphpe.benchmarks.measure.speed import on_the_fly


def test_one_row(tmp_path, capsys):
    out = tmp_path / "table.md"
    small = ["--graphs", "3", "--walk-length", "4", "--width", "8", "--heads", "2", "--layers", "2", "--repeats", "1"]
    on_the_fly.main([*small, "--data", str(tmp_path), "--out", str(out)])
    text = out.read_text()
    assert text in capsys.readouterr().out
    row = re.search(r"^\| 3 molecules \| random \| [\d,]+ \| ([\d.]+) \| ([\d.]+) \| ([\d.]+)% \|$", text, re.M)
    encoding, step, share = map(float, row.groups())
    assert encoding > 0
    assert abs(share - 100 * encoding / step) < 5
