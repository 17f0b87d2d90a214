"""cuDSS without a GPU: what is handed to it, and that nvmath-python takes such calls."""

from __future__ import annotations

import importlib
import inspect
import sys
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from graphpe.benchmarks.measure.pretend import direct_solver as pretended
from graphpe.eigen.factors import cudss
from graphpe.errors import EigenError

nvmath_missing = "nvmath-python is not installed: extra gpu"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng()


def hermitian(size: int, rng: np.random.Generator, dtype: torch.dtype) -> torch.Tensor:
    """With an entry in four, some of the diagonal among them."""
    entries = rng.standard_normal((size, size)) * (rng.random((size, size)) < 0.25)
    matrix = torch.from_numpy(entries).to(dtype)
    if dtype.is_complex:
        matrix = matrix + 1j * torch.from_numpy(rng.standard_normal((size, size))) * (matrix != 0)
    return matrix.triu(1) + matrix.triu(1).mH + torch.diag(matrix.diagonal().real.to(dtype))


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_the_upper_triangle_has_its_whole_diagonal(dtype: torch.dtype, rng: np.random.Generator) -> None:
    matrix = hermitian(40, rng, dtype)
    assert (matrix.diagonal() == 0).any()
    upper, diagonal = cudss._upper(matrix.to_sparse_csr())
    assert torch.equal(upper.to_dense(), matrix.triu())
    assert upper.crow_indices().dtype == torch.int32
    assert torch.equal(upper.col_indices()[diagonal], torch.arange(40, dtype=torch.int32))
    assert torch.equal(upper.values()[diagonal], matrix.diagonal())
    # The solver keeps the addresses: what is written into the values is in the matrix.
    values = upper.values()
    values[diagonal] -= 2.5
    assert torch.equal(upper.to_dense(), (matrix - 2.5 * torch.eye(40)).triu())


def test_entries_that_are_there_twice_count_twice_on_the_diagonal() -> None:
    matrix = torch.sparse_csr_tensor([0, 3, 4], [0, 1, 0, 0], torch.tensor([1.0, 5.0, 2.0, 5.0]).double(), (2, 2))
    assert cudss._upper(matrix)[0].to_dense().tolist() == [[3, 5], [0, 0]]


def test_other_devices_have_no_factors_there() -> None:
    assert not cudss.is_there(torch.device("cpu"))
    assert not cudss.is_there(torch.device("meta"))


class Recorded:
    """Binds every call to a signature of nvmath-python's, and goes on."""

    calls: list[str]

    def __init__(self, real: Any, *args: Any, **kwargs: Any) -> None:
        inspect.signature(real.__init__).bind(self, *args, **kwargs)
        self._real, self._bound = real, SimpleNamespace(inertia=np.array([3, 0], np.int32), lu_nnz=6, npivots=0)
        self._right = args[1]
        self.calls = ["__init__"]

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            inspect.signature(getattr(self._real, name)).bind(self, *args, **kwargs)
            self.calls.append(name)
            return self._bound if name == "factorize" else self._right

        return call


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_calls_are_those_that_nvmath_takes(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own classes of options and kinds are built, its own checks of operands are passed, its signatures bound."""
    api = pytest.importorskip("nvmath.sparse.advanced", reason=nvmath_missing)
    real = importlib.import_module("nvmath.sparse.advanced.direct_solver")
    made: list[Any] = []

    def solver(*args: Any, **kwargs: Any) -> Recorded:
        matrix = real.wrap_cudss_supported_lhs(args[0])
        assert (matrix.dtype, matrix.index_type) == (str(dtype).removeprefix("torch."), "int32")
        right = args[1]
        assert real.check_dense_tensor_layout(tuple(right.shape), right.stride(), explicitly_batched=False)
        made.append((Recorded(api.DirectSolver, *args, **kwargs), kwargs["options"]))
        return made[-1][0]

    names = ("DirectSolverOptions", "DirectSolverMatrixType", "DirectSolverMatrixViewType")
    stand_in = SimpleNamespace(DirectSolver=solver, **{name: getattr(api, name) for name in names})
    monkeypatch.setitem(sys.modules, "nvmath.sparse.advanced", stand_in)
    with cudss.CuDSS(torch.eye(3, dtype=dtype), 2) as factors:
        assert factors.factor(0.5) == 0
        factors.solve(torch.ones(3, 2, dtype=dtype))
    recorded, options = made[0]
    assert recorded.calls == ["__init__", "plan", "factorize", "solve", "free"]
    kinds = api.DirectSolverMatrixType
    assert options.sparse_system_type == (kinds.HERMITIAN if dtype.is_complex else kinds.SYMMETRIC)
    assert options.sparse_system_view == api.DirectSolverMatrixViewType.UPPER
    # What is read of the factors.
    for name in ("inertia", "lu_nnz", "npivots"):
        assert isinstance(inspect.getattr_static(api.DirectSolverFactorizationInfo, name), property)


def test_the_pretended_solver_has_nvmaths_signatures() -> None:
    api = pytest.importorskip("nvmath.sparse.advanced", reason=nvmath_missing)
    for name in ("__init__", "plan", "factorize", "solve", "free"):
        ours, theirs = (inspect.signature(getattr(each.DirectSolver, name)) for each in (pretended, api))
        assert [(p.name, p.kind, p.default) for p in ours.parameters.values()] == [
            (p.name, p.kind, p.default) for p in theirs.parameters.values()
        ]
    for kind in ("DirectSolverMatrixType", "DirectSolverMatrixViewType"):
        for member in getattr(pretended, kind):
            assert getattr(api, kind)[member.name] == member
    assert {each.name for each in fields(pretended.DirectSolverOptions)} <= {
        each.name for each in fields(api.DirectSolverOptions)
    }


class cuDSSError(Exception):
    """Of the name of nvmath's."""


@pytest.mark.parametrize("fails", ["plan", "factorize", "solve"])
def test_what_cudss_raises_is_one_line_that_says_what_to_do(fails: str, monkeypatch: pytest.MonkeyPatch) -> None:
    freed = []

    class Failing:
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            pass

        def __getattr__(self, name: str) -> Any:
            def call() -> Any:
                if name == fails:
                    raise cuDSSError("ALLOC_FAILED (2)\nmore")
                freed.extend([1] if name == "free" else [])
                return SimpleNamespace(inertia=(2, 0), lu_nnz=3, npivots=0)

            return call

    api = SimpleNamespace(
        DirectSolver=Failing,
        DirectSolverOptions=pretended.DirectSolverOptions,
        DirectSolverMatrixType=pretended.DirectSolverMatrixType,
        DirectSolverMatrixViewType=pretended.DirectSolverMatrixViewType,
    )
    monkeypatch.setitem(sys.modules, "nvmath.sparse.advanced", api)

    def go() -> None:
        with cudss.CuDSS(torch.eye(2).double(), 1) as factors:
            factors.factor(0.0)
            factors.solve(torch.ones(2, 1).double())

    with pytest.raises(EigenError, match=r"^cuDSS cannot .*: ALLOC_FAILED \(2\); choose a solver .*$"):
        go()
    assert freed == [1]


def test_perturbed_pivots_count_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    info = SimpleNamespace(inertia=(1, 1), lu_nnz=3, npivots=0)
    solver = SimpleNamespace(plan=lambda: None, factorize=lambda: info, free=lambda: None)
    api = SimpleNamespace(
        DirectSolver=lambda *args, **kwargs: solver,
        DirectSolverOptions=pretended.DirectSolverOptions,
        DirectSolverMatrixType=pretended.DirectSolverMatrixType,
        DirectSolverMatrixViewType=pretended.DirectSolverMatrixViewType,
    )
    monkeypatch.setitem(sys.modules, "nvmath.sparse.advanced", api)
    with cudss.CuDSS(torch.eye(2).double(), 1) as factors:
        assert factors.factor(0.0) == 1
        info.npivots = 1
        assert factors.factor(0.0) is None
        info.npivots, info.inertia = 0, (1, 0)
        assert factors.factor(0.0) is None
