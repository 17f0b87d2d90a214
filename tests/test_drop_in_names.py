"""The page of drop-in names: what it says of PyG is in PyG, what it says of graphpe is here and takes its arguments."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest
import torch_geometric.loader
import torch_geometric.nn
import torch_geometric.transforms

from graphpe import models as M
from graphpe import transforms as T

PAGE = Path(__file__).resolve().parents[1] / "docs" / "migration.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the page is not here")


def rows() -> list[tuple[str, list[str]]]:
    """Heading and cells of every row of a table."""
    heading, out = "", []
    for line in PAGE.read_text().splitlines():
        heading = line.removeprefix("## ") if line.startswith("## ") else heading
        if line.startswith("|") and not line.startswith("|---"):
            out.append((heading, [cell.strip() for cell in line.strip("|").split("|")]))
    return out


def codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_names_of_pyg() -> None:
    rooms = (torch_geometric, torch_geometric.transforms, torch_geometric.nn, torch_geometric.loader)
    left = [code for heading, cells in rows() if heading == "From PyG" for code in codes(cells[0])]
    found = [match.group() for match in (re.match(r"[A-Z]\w+", code) for code in left) if match is not None]
    assert {"AddLaplacianEigenvectorPE", "AddRandomWalkPE", "AddGPSE", "Compose"} <= set(found)
    assert [name for name in found if not any(hasattr(room, name) for room in rooms)] == []


def wrong_with(code: str) -> str | None:
    """What is wrong with a text such as `T.LaplacianPE(k, sign="none")`, None if nothing is."""
    room, name = code.split("(")[0].split(".")[:2]
    thing = getattr({"T": T, "M": M}[room], name, None)
    if thing is None:
        return f"{code}: there is no {name}"
    if "(" in code and "..." not in code:
        call = ast.parse(code, mode="eval").body
        assert isinstance(call, ast.Call), code
        try:
            inspect.signature(thing).bind_partial(*call.args, **{str(word.arg): word.value for word in call.keywords})
        except TypeError as error:
            return f"{code}: {error}"
    return None


def test_names_of_ours() -> None:
    texts = [code for _, cells in rows() for code in codes(" ".join(cells[1:])) if re.match(r"[TM]\.\w+", code)]
    assert len(texts) > 25
    assert [wrong for text in texts if (wrong := wrong_with(text)) is not None] == []
    assert "no NoSuchPE" in str(wrong_with("T.NoSuchPE()"))
    assert "positional" in str(wrong_with("T.MagneticLaplacianPE(8, 0.1)"))


def test_every_encoding_of_peers_has_a_row() -> None:
    ours = " ".join(cells[1] for _, cells in rows())
    for name in ("LaplacianPE", "RandomWalkPE", "GPSEPE", "SVDPE", "ShortestPathPE", "HeatKernelPE", "ElectrostaticPE",
                 "RelativeRandomWalkPE", "DiffusionPE", "WeisfeilerLehmanPE", "MagneticLaplacianPE",
                 "DirectedRandomWalkPE", "EdgePathPE", "DegreePE"):  # fmt: skip
        assert f"T.{name}" in ours, name
