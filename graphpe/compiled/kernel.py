"""Triton's kernels: what runs them, and whether they can run.

Triton comes with PyTorch for CUDA. It is imported when the first kernel is launched, never before: files with
kernels are imported where there is none.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

KINDS = (torch.float32, torch.bfloat16, torch.float16)
"""What kernels take; sums, exponentials and gradients on the way are float32."""


class _Function:
    """A function in Triton's language.

    It reads `tl` of its file, which is Triton's language from then on, as the parts that it calls are Triton's.

    Args:
        function: The function.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function: Any = function

    @cached_property
    def compiled(self) -> Any:
        """What Triton makes of the function."""
        triton = importlib.import_module("triton")  # not `import`: type checkers need not have it
        names = self.function.__globals__
        names["tl"] = triton.language
        for name in self.function.__code__.co_names:
            if isinstance(names.get(name), Part):
                names[name] = names[name].compiled
        return triton.jit(self.function)


class Part(_Function):
    """A function in Triton's language that kernels call, and that becomes part of them.

    Args:
        function: The function.
    """

    if TYPE_CHECKING:

        def __call__(self, *args: Any, **constants: Any) -> Any: ...  # in kernels alone


class Kernel(_Function):
    """A function in Triton's language, compiled for each kind of arguments when it is first called with them.

    Args:
        function: The function.
    """

    def __call__(self, programs: int, *args: Any, warps: int, stages: int, **constants: Any) -> None:
        """Run a number of programs.

        Args:
            programs: Their number; none for 0.
            *args: Tensors, numbers, and None for a tensor that is not there.
            warps: Warps of 32 threads a program.
            stages: Turns of a loop whose reads are under way at once.
            **constants: What is compiled in.
        """
        if programs:
            self.compiled[(programs,)](*args, num_warps=warps, num_stages=stages, **constants)


def has_kernels(device: torch.device) -> bool:
    """Whether kernels run on a device: CUDA, and Triton is installed. Not for `torch.compile`, which makes its own.

    Args:
        device: Where the tensors are.
    """
    return device.type == "cuda" and not torch.compiler.is_compiling() and _installed()


def dot_options(like: Tensor) -> dict[str, Any]:
    """How products of matrices are taken: `KIND` of the factors and, for float32, `PRECISION`, as PyTorch is told to.

    `highest` is three products of 11 bits each on tensor cores, with the error of float32: products without these
    cores do not fit into registers.

    Args:
        like: What is multiplied.
    """
    language = importlib.import_module("triton.language")
    kinds = {torch.bfloat16: language.bfloat16, torch.float16: language.float16}
    # Triton's interpreter has NumPy's numbers, among which half precisions are no factors.
    kind = language.float32 if os.environ.get("TRITON_INTERPRET") == "1" else kinds.get(like.dtype, language.float32)
    return {"KIND": kind, "PRECISION": "tf32x3" if torch.get_float32_matmul_precision() == "highest" else "tf32"}


def power_of_two(number: int, least: int = 1) -> int:
    """The smallest power of two that is not below a number, nor below `least`: ranges in Triton have such lengths.

    Args:
        number: The number.
        least: The smallest result.
    """
    return max(least, 1 << max(number - 1, 0).bit_length())


@cache
def _installed() -> bool:
    return importlib.util.find_spec("triton") is not None
