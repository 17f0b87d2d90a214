from __future__ import annotations

import csv
import io
import math
import re

import pytest

from graphpe.benchmarks.expressivity.models import ModelVerdict
from graphpe.benchmarks.expressivity.pairs import Verdict
from graphpe.benchmarks.expressivity.picture import heat_map
from graphpe.benchmarks.expressivity.sets import Case
from graphpe.benchmarks.expressivity.table import as_csv, as_latex, as_markdown, of_encoding, of_model

GRIT = "GRIT(width=16, layers=3)"
RESULTS = [
    of_encoding(Verdict("DegreePE()", "graph8c", 61_788_286, 61_494_922, 0, 1e-9, 0.5), "1-WL"),
    of_encoding(Verdict("DegreePE()", "BREC-basic", 60, 50, 4, 1e-9, 0.25, 50), "1-WL"),
    of_encoding(Verdict("SVDPE(k=8)", "graph8c", 61_788_286, None, 0, 0.5, math.nan)),
    of_model(ModelVerdict(Case(GRIT), "graph8c", 61_788_286, (), None, ())),
    of_model(ModelVerdict(Case(GRIT), "BREC-basic", 60, (10, 20, 30), 35, (0, 3, 0), 0, (20, 20, 20))),
    of_model(ModelVerdict(Case(GRIT, "LaplacianPE(k=8)", "SPE"), "BREC-basic", 30, (15, 15), 15, (0, 0)), "2-FWL"),
]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_markdown() -> None:
    text = as_markdown(RESULTS, "graphpe expressivity", seeds=3, notes=["one + other: why"])
    lines = text.split("\n")
    assert "    graphpe expressivity" in lines
    tables, exact, _ = text.partition("## Models with random weights, to rounding")
    rows = {cells(line)[0]: cells(line)[1:] for line in tables.split("\n") if line.startswith("| `")}
    assert rows["`DegreePE()`"] == ["1-WL", "61,494,922 (293,364)", "50 (6) !4"]
    assert rows["`SVDPE(k=8)`"] == ["", "signs", ""]
    assert rows[f"`{GRIT}`"] == ["", "random", "20 ± 10.0 !1"]
    assert rows[f"`{GRIT}` + `LaplacianPE(k=8) by SPE`"] == ["2-FWL", "", "15 (15)"]
    assert text.count("| encoding | at most | graph8c (61,788,286 pairs) | BREC-basic (60 pairs) |") == 1
    assert "- `DegreePE()`, BREC-basic: 50 pairs that 1-WL does not." in lines
    assert "In none of the 1 rows with a bound" in as_markdown(RESULTS[:1], "")
    assert "Models with random weights" in text
    assert f"| `{GRIT}` |  | random | 20 (40) |" in text.partition(exact)[2]
    assert "to rounding" not in as_markdown(RESULTS[:3], "")
    assert "The first 260 of BREC's 400 pairs" in text
    assert text.endswith("Left out: one + other: why\n")
    assert "At most 7 epochs" in as_markdown(RESULTS, "", epochs=7)
    assert "BREC's 400" not in as_markdown(RESULTS[:1], "")


def test_csv() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(RESULTS))))
    assert [row["apart"] for row in rows] == ["61494922", "50", "", "", "20", "15"]
    assert rows[4] == {
        "kind": "model", "model": GRIT, "encoding": "none", "encoder": "EigenvectorEncoding", "dataset": "BREC-basic",
        "pairs": "60", "apart": "20", "deviation": "10", "union": "35", "alarms": "1", "change": "", "nearest": "",
        "bound": "", "beyond": "", "exact": "20",
    }  # fmt: skip
    assert (rows[1]["alarms"], rows[1]["change"], rows[1]["nearest"]) == ("4", "1e-09", "0.25")
    assert (rows[1]["bound"], rows[1]["beyond"]) == ("1-WL", "50")
    assert rows[5]["encoder"] == "SPE"


def test_latex() -> None:
    text = as_latex(RESULTS, seeds=3)
    assert text.startswith("% needs \\usepackage{booktabs}\n\\begin{table}")
    assert text.count("{") == text.count("}")
    rows = [line for line in text.split("\n") if line.endswith(r"\\")]
    assert all(row.count("&") == 2 for row in rows)
    assert rows[1] == r"pairs & 61,788,286 & 60 \\"
    assert r"SVDPE(k=8) & -- & -- \\" in rows
    assert rf"{GRIT} & -- & 20 \\" in rows
    assert rf"{GRIT} + LaplacianPE(k=8) by SPE & -- & 50\% \\" in rows  # of other pairs than the column's
    assert not re.search(r"(?<!\\)[_#]", text)
    assert "3 initialisations" in text
    assert "trained on each pair for 2 epochs (mean over 1 initialisation)" in as_latex(RESULTS, seeds=1, epochs=2)


@pytest.mark.parametrize(("form", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_picture(form: str, start: bytes) -> None:
    content = heat_map(RESULTS, form)  # type: ignore[arg-type]
    assert content.startswith(start)
    assert heat_map(RESULTS, form) == content  # type: ignore[arg-type]
    if form == "svg":
        drawn = content.decode()
        for text in ("DegreePE()", "GRIT + LaplacianPE(k=8) by SPE", "99.5", "83", "33", "50"):
            assert f"<!-- {text} -->" in drawn
