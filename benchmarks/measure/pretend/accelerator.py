"""A pretended accelerator: real numbers on the CPU, everything else as on a GPU.

While `pretending()`, tensors may be on `DEVICE`. A program takes the way there that it takes on CUDA, ends with numbers
that can be compared with the CPU's, and every operation is looked at (`graphpe.benchmarks.measure.pretend.events`):

    with pretending() as seen:
        loss = model(batch.to(DEVICE))
        loss.backward()
    assert not seen.syncs, seen.report()

It cannot see whether CUDA's kernels are right, their speed, memory, autocast, Triton's kernels, or streams. Counts of
forward and backward passes are about those of CUDA; optimizers count too many, for PyTorch fuses lists of plain tensors
only. `tests/benchmarks/measure/pretend` plants a fault of each kind.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map, tree_map_only

import graphpe
from graphpe.benchmarks.measure.pretend.events import Event, Kind, Seen
from graphpe.benchmarks.measure.pretend.tensors import DEVICE, There, run

_ROOT = f"{Path(graphpe.__file__).resolve().parents[1]}/"
_HERE = f"{Path(__file__).resolve().parent}/"


class Pretend(TorchDispatchMode):
    """Within it `DEVICE` exists, and what happens there is written down.

    Attributes:
        seen: What happened.
        quiet: Above 0, nothing is written down.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen = Seen()
        self.quiet = 0

    def __enter__(self) -> Pretend:
        # Constants, such as those of `torch.tensor`, stay on the CPU until they are moved.
        self._lift = torch._C._only_lift_cpu_tensors()
        torch._C._set_only_lift_cpu_tensors(True)
        self._functions = _Functions(self)
        self._functions.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._functions.__exit__(*error)
        torch._C._set_only_lift_cpu_tensors(self._lift)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {}, self)

    def note(self, kind: Kind, op: str, detail: str = "") -> None:
        """Write down that something happened, and where."""
        if not self.quiet:
            self.seen.events.append(Event(kind, op, _place(), detail))


@cache
def _resolved(name: str) -> str:
    return str(Path(name).resolve())


def _place() -> str:
    """The line of the program, as `file:line`; the engine's for what autograd does by itself."""
    frame: Any = sys._getframe(2)
    backward = False
    while frame is not None:
        name = _resolved(frame.f_code.co_filename)
        backward = backward or name.endswith("torch/autograd/graph.py")
        own = name.startswith(_ROOT) and "site-packages" not in name and not name.startswith(_HERE)
        if own and not backward:
            return f"{name.removeprefix(_ROOT)}:{frame.f_lineno}"
        frame = frame.f_back
    return "autograd's backward pass" if backward else "outside"


class _Functions(TorchFunctionMode):
    """Calls that hide what they do from dispatch."""

    def __init__(self, pretend: Pretend) -> None:
        super().__init__()
        self.pretend = pretend

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        pretend = self.pretend
        if func is torch._C._nn.scaled_dot_product_attention and isinstance(args[0], There):
            pretend.seen.calls["scaled_dot_product_attention"] += 1  # one kernel on CUDA, many as it is written out
            pretend.quiet += 1
            try:
                return func(*args, **kwargs)
            finally:
                pretend.quiet -= 1
        if func in (Tensor.numpy, Tensor.tolist) and isinstance(args[0], There):
            plain = args[0].here.detach()
            if func is Tensor.numpy and not kwargs.get("force"):
                raise TypeError(f"can't convert {DEVICE} device type tensor to numpy. Use Tensor.cpu() first.")
            pretend.note("sync", "copy to host")
            pretend.seen.moved["to host"] += plain.numel() * plain.element_size()
            return plain.numpy(force=True).copy() if func is Tensor.numpy else plain.tolist()
        return func(*args, **kwargs)


@contextmanager
def pretending() -> Iterator[Seen]:
    """A time in which `DEVICE` exists; gives what happens there. Autograd runs in this thread."""
    with torch.autograd.set_multithreading_enabled(False), Pretend() as pretend:
        yield pretend.seen


def to_host(value: Any) -> Any:
    """A nest with all its tensors on the CPU, for comparisons; nothing is written down."""
    return tree_map_only(There, lambda x: x.here, value)


def move(value: Any) -> Any:
    """A nest with all its tensors on the device; nothing is written down."""
    return tree_map(lambda x: There(x.detach()) if isinstance(x, Tensor) and not isinstance(x, There) else x, value)


def move_module(module: nn.Module) -> nn.Module:
    """The module, its parameters and buffers on the device, in place."""
    for part in module.modules():
        for name, value in part._parameters.items():
            if value is not None:
                part._parameters[name] = nn.Parameter(There(value.detach()), requires_grad=value.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = There(buffer)
    return module
