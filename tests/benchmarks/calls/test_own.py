from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from graphpe.benchmarks.calls import catalogue, own
from graphpe.benchmarks.calls.build import build_encodings, canonical_model, encoding_classes, model_classes
from graphpe.benchmarks.calls.own import check_outside, imported, installed
from graphpe.errors import GraphPEError, GraphPERuntimeError, GraphPEValueError

HEAD = "import torch\nfrom torch import nn\nfrom graphpe import models as M, transforms as T\n"
NAMED = (
    "class {name}(T.Encoding):\n    attr_name = 'a_pe'\n    columns = 1\n    def encode(self, plan): return {gives}\n"
)
GOOD = "T.Values(node={'a_pe': torch.ones(plan.graphs.num_nodes, 1)})"

Write = Callable[[str, str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def call(name: str, code: str) -> str:
        (tmp_path / name).write_text(HEAD + code)
        sys.modules.pop(Path(name).stem, None)
        return str(tmp_path / name)

    return call


def test_names_are_known_within_and_not_after(write: Write) -> None:
    path = write("own_one.py", NAMED.format(name="OnePE", gives=GOOD))
    before = list(sys.path)
    with imported([path]):
        assert "OnePE" in encoding_classes()
        assert repr(build_encodings(["one-pe"])[0]) == "OnePE()"
        with imported([path]):
            assert "OnePE" in encoding_classes()
        assert "OnePE" in encoding_classes()
        assert "OnePE" in [entry.name for entry in catalogue.encodings()]
    assert "OnePE" not in encoding_classes()
    assert sys.path == before


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("own_syntax.py", "x = (", "SyntaxError"),
        ("own_zero.py", "\nx = 1 / 0", r"own_zero.py, line 5: ZeroDivisionError"),
        ("own_exit.py", "raise SystemExit(3)", "SystemExit: 3"),
        ("own_needs.py", "import not_installed_anywhere", "No module named 'not_installed_anywhere'"),
        ("own_nothing.py", "class A: pass", "defines no encoding, encoder, model or task"),
        ("own-dash.py", "", "'own-dash' is no name of a Python module"),
        ("random.py", "", "a module random is there already"),
    ],
)
def test_modules_that_cannot_be_used(write: Write, name: str, code: str, said: str) -> None:
    path = write(name, code) if name != "random.py" else write("x.py", "").replace("x.py", name)
    Path(path).touch()
    with pytest.raises(GraphPEError, match=said) as caught, imported([path]):
        pass
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["missing.py", "not_there", "a.b", "/"])
def test_modules_that_are_not_there(name: str) -> None:
    with pytest.raises(GraphPEValueError, match=f"--import {name}: "), imported([name]):
        pass


def test_a_name_of_graphpe_is_refused(write: Write) -> None:
    path = write("own_clash.py", NAMED.format(name="Laplacian_PE", gives=GOOD))
    with imported([path]):
        for ask in (lambda: build_encodings(["LaplacianPE(k=2)"]), catalogue.encodings):
            with pytest.raises(
                GraphPEValueError, match="defines Laplacian_PE, but graphpe has the encoding LaplacianPE"
            ):
                ask()


def test_two_modules_with_one_name(write: Write) -> None:
    paths = [write(f"own_two{i}.py", NAMED.format(name="TwoPE", gives=GOOD)) for i in range(2)]
    with imported(paths), pytest.raises(GraphPEValueError, match="own_two0 and own_two1 both define TwoPE"):
        encoding_classes()


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        ("plan.graphs.ptr", "gave a Tensor"),
        ("T.Values(node={'b_pe': plan.graphs.ptr})", r"\['b_pe'\], but it is to write \['a_pe'\]"),
        ("T.Values(node={'a_pe': plan.graphs.ptr})", r"gave a_pe as \[2\]: it has to be a tensor of 3 rows"),
        ("T.Values(node={'a_pe': 3})", "gave a_pe as int"),
    ],
)
def test_what_encode_may_give(write: Write, gives: str, said: str) -> None:
    import torch
    from torch_geometric.data import Data

    path = write("own_gives.py", NAMED.format(name="GivesPE", gives=gives))
    with imported([path]):
        (encoding,) = build_encodings(["GivesPE"])
        with pytest.raises(GraphPERuntimeError, match=said):
            encoding(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=3))


MODELS = {
    "class A(M.Architecture): pass": r"no model \(it does not define forward\)",
    "class A(nn.Module):\n    def __init__(self, *, node_encoder): super().__init__()": "no edge_encoder.*Architecture",
    "class A(M.Architecture):\n    def __init__(self, *, depth=2, **ends): super().__init__(**ends)\n"
    "    def forward(self, batch): pass": "no attribute of that name: store it, self.depth = depth",
    "class A(M.Architecture):\n    def __init__(self, **ends): super().__init__(**ends); self.none\n"
    "    def forward(self, batch): pass": r"own_model.py, line \d+, in __init__: AttributeError",
}


@pytest.mark.parametrize("code", MODELS)
def test_models_that_lack_something(write: Write, code: str) -> None:
    path = write("own_model.py", code + "\n" + NAMED.format(name="UsefulPE", gives=GOOD))
    with pytest.raises(GraphPEError, match=MODELS[code]) as caught, imported([path]):
        canonical_model("A()")
    assert "\n" not in str(caught.value)


def test_constructors_may_look_at_values(write: Write) -> None:
    code = (
        "class Rates(M.Architecture):\n    def __init__(self, *, layers=2, **ends):\n        super().__init__(**ends)\n"
    )
    code += "        self.layers = layers\n        self.rates = [x.item() for x in torch.linspace(0, 1, layers)]\n"
    with imported([write("own_rates.py", code + "    def forward(self, batch): pass\n")]):
        assert canonical_model("Rates(layers=3)") == "Rates(layers=3, width=64, readout='mean')"


def test_installed_packages(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(
        "own_package.py", NAMED.format(name="InstalledPE", gives=GOOD) + NAMED.format(name="DegreePE", gives=GOOD)
    )
    monkeypatch.syspath_prepend(str(Path(path).parent))
    offered = {
        name: EntryPoint(name, f"own_package:{value}", "graphpe.encodings")
        for name, value in (("InstalledPE", "InstalledPE"), ("MissingPE", "Missing"), ("Other", "InstalledPE"))
    }
    installed.cache_clear()
    monkeypatch.setattr(own, "entry_points", lambda group: list(offered.values()) if "encodings" in group else [])
    try:
        assert repr(build_encodings(["InstalledPE"])[0]) == "InstalledPE()"
        assert "InstalledPE" not in model_classes()
        assert repr(build_encodings(["DegreePE"])[0]).startswith("DegreePE(max_degree")
        with pytest.raises(GraphPERuntimeError, match="offers own_package:Missing, which fails: AttributeError"):
            build_encodings(["MissingPE"])
        with pytest.raises(GraphPERuntimeError, match="as the encoding Other; that has to be the name of a class"):
            build_encodings(["Other"])
        offered["DegreePE"] = EntryPoint("DegreePE", "own_package:DegreePE", "graphpe.encodings")
        installed.cache_clear()
        with pytest.raises(GraphPEValueError, match="both define the encoding DegreePE"):
            build_encodings(["DegreePE"])
    finally:
        installed.cache_clear()


def test_a_run_folder_holds_no_code(tmp_path: Path) -> None:
    check_outside(["my_module", str(tmp_path / "my.py")], tmp_path / "run")
    with pytest.raises(GraphPEValueError, match="in itself: say --import"):
        check_outside([str(tmp_path / "run" / "my.py")], tmp_path / "run")
