"""Tensors of the pretended accelerator, and how an operation runs on them.

A tensor on `DEVICE` holds its numbers on the CPU and says that it is elsewhere. The device is PyTorch's PrivateUse1,
with a backend in Python. Nothing is cast by autocast, and kernels, streams and memory are not modelled.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from graphpe.benchmarks.measure.pretend.cuda_kernels import has_cuda_kernel
from graphpe.benchmarks.measure.pretend.events import Kind, Seen

NAME = "pretend"


class _Backend:
    """What `torch.pretend` offers: the module of a device, as `torch.cuda`."""

    _initialized = True  # recomputation asks this, and then for the generator's state

    def device(self, index: int) -> AbstractContextManager[None]:
        return nullcontext()

    def is_initialized(self) -> bool:
        return True

    def is_available(self) -> bool:
        return True

    def current_device(self) -> int:
        return 0

    def device_count(self) -> int:
        return 1

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        pass

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]

    def get_rng_state(self, device: Any = None) -> Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: Tensor, device: Any = None) -> None:
        torch.set_rng_state(state)

    def set_device(self, device: Any) -> None:
        pass

    def synchronize(self, device: Any = None) -> None:
        pass


def _set_up() -> torch.device:
    if torch._C._get_privateuse1_backend_name() != NAME:
        _setup_privateuseone_for_python_backend(rename=NAME, backend_module=_Backend())
    return torch.device(NAME, 0)


DEVICE = _set_up()

# What makes the host wait on CUDA, beside copies and reading numbers.
_SHAPE_OF_NUMBERS = {
    "nonzero", "masked_select", "unique_dim", "_unique", "_unique2", "unique_consecutive", "unique_dim_consecutive",
    "bincount", "equal", "argwhere", "nonzero_numpy", "histc", "_is_all_true", "_is_any_true",
}  # fmt: skip
_CHECKED = {"_linalg_eigh", "_linalg_svd", "linalg_eig", "linalg_lstsq", "_linalg_solve_ex", "_linalg_check_errors"}
_ATOMIC = {
    "index_add", "index_add_", "scatter_add", "scatter_add_", "put_", "_index_put_impl_", "embedding_bag",
    "_segment_reduce_backward", "histc",
}  # fmt: skip
# No kernel, or none of their own.
_FREE = {
    "detach", "alias", "_unsafe_view", "lift_fresh", "empty", "empty_strided", "empty_like", "new_empty",
    "new_empty_strided", "_reshape_alias", "as_strided", "resize_", "set_", "is_pinned", "_conj", "_neg_view",
    "crow_indices", "col_indices", "values", "_local_scalar_dense",
}  # fmt: skip
# Indices on the host are copied by CUDA, which waits.
_INDEX_OPS = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put"}
# Operations that take a scalar on the host beside operands on the device; those by elements all do.
_TAKE_SCALARS = {
    "fill_", "masked_fill", "masked_fill_", "index_put_", "index_put", "where", "copy_", "index_fill", "index_fill_",
    "clamp", "clamp_", "lerp_", "lerp", "addcmul", "addcmul_", "pow", "full_like", "_foreach_add_", "set_", "resize_",
    "linalg_vector_norm", "_fused_adamw_", "_fused_adam_",
}  # fmt: skip


class Watch(Protocol):
    """Who is told of operations."""

    seen: Seen
    quiet: int

    def note(self, kind: Kind, op: str, detail: str = "") -> None:
        """Something happened."""
        ...


class There(Tensor):
    """A tensor that says it is on `DEVICE`; its numbers are in `here`, on the CPU."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> There:
        place: dict[str, Any] = {"dtype": here.dtype, "layout": here.layout, "device": DEVICE}
        if here.layout == torch.strided:
            place |= {"strides": here.stride(), "storage_offset": here.storage_offset()}
        else:
            place |= {"dispatch_layout": True}  # it is asked for by dispatch
        out = Tensor._make_wrapper_subclass(cls, here.size(), **place)
        out.here = here
        return out

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return run(func, args, kwargs or {}, None)

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"There({self.here!r})"


def run(func: Any, args: Any, kwargs: Any, watch: Watch | None) -> Any:
    """An operation with its result, on the device if an operand or the result is to be there.

    Args:
        func: An overload of an operation.
        args: Its arguments.
        kwargs: Its arguments by name.
        watch: Who is told of it.

    Raises:
        RuntimeError: Operands are on several devices, where CUDA does not take them.
    """
    if func is torch.ops.prim.layout.default:
        return args[0].here.layout
    op = func._schema.name.removeprefix("aten::")
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
    there = [x for x in tensors if isinstance(x, There)]
    here = [x for x in tensors if not isinstance(x, There)]
    device = kwargs.get("device")
    asked = None if device is None else torch.device(device)
    match op:
        case "_to_copy":
            return _copied(func, args, kwargs, watch, asked)
        case "copy_":
            return _overwritten(func, args, kwargs, watch)
        case "is_pinned":
            return False
        case "_pin_memory" | "pin_memory":
            return args[0].clone()
        case "_fused_sdp_choice" if there:
            return 0  # as written out
        case "record_stream":
            return None
        case "_conj" | "_neg_view" if there:  # lazy bits do not pass dispatch to Python: written out
            return There(args[0].here.conj_physical() if op == "_conj" else args[0].here.neg())
    if there:
        _look(func, op, args, kwargs, there, here, watch)
    swap = {id(x.here): x for x in there}
    plain_args, plain_kwargs = tree_map_only(There, lambda x: x.here, (args, dict(kwargs)))
    if asked is not None and asked.type == NAME:
        plain_kwargs["device"] = torch.device("cpu")
    out = func(*plain_args, **plain_kwargs)
    arrives = asked.type == NAME if asked is not None else bool(there)
    if not arrives:
        return out
    if watch is not None and not watch.quiet and op not in _FREE and not _is_view(func):
        watch.seen.calls[op] += 1
        results = [x for x in tree_leaves(out) if isinstance(x, Tensor)]
        watch.seen.bytes += sum(_size(x) for x in [*(x.here for x in there), *results])
    return tree_map_only(Tensor, lambda x: swap[id(x)] if id(x) in swap else There(x), out)


def _look(
    func: Any, op: str, args: Any, kwargs: Any, there: list[There], here: list[Tensor], watch: Watch | None
) -> None:
    """Refuse what CUDA refuses, and tell what is to be known of an operation on the device."""
    on_host = [x for x in here if x.dim()]
    indices = bool(on_host) and op in _INDEX_OPS and isinstance(args[0], There)
    values = args[2] if indices and len(args) > 2 else None
    wrong_values = isinstance(values, Tensor) and not isinstance(values, There) and values.dim() > 0
    scalars = torch.Tag.pointwise in func.tags or op in _TAKE_SCALARS
    if wrong_values or (not indices and (on_host or (here and not scalars))):
        shapes = ", ".join(f"{list(x.shape)} on {x.device}" for x in [*there, *here][:4])
        message = f"Expected all tensors to be on the same device, but {op} got {shapes}"
        if watch is not None:
            watch.note("mixing", op, message)
        raise RuntimeError(message)
    if watch is None:
        return
    if indices:
        watch.note("sync", op, "indices on the host: a blocking copy")
    elif op == "_local_scalar_dense":
        watch.note("sync", "item")
    elif op in _SHAPE_OF_NUMBERS:
        watch.note("sync", op, "shape or answer depends on numbers")
    elif op in _CHECKED or (op == "linalg_cholesky_ex" and kwargs.get("check_errors")):
        watch.note("sync", op, "checks whether it worked")
    elif op == "repeat_interleave" and kwargs.get("output_size") is None:
        watch.note("sync", op, "without output_size")
    elif op in _INDEX_OPS and any(isinstance(x, Tensor) and x.dtype in (torch.bool, torch.uint8) for x in args[1]):
        watch.note("sync", op, "mask as index")
    accumulates = op in ("index_put", "index_put_") and (args[3:4] == (True,) or bool(kwargs.get("accumulate")))
    reduces = op in ("scatter_reduce", "scatter_reduce_") and "amax" not in args and "amin" not in args
    if op in _ATOMIC or accumulates or reduces:
        watch.note("nondeterministic", op)
    doubles = [x for x in there if x.dtype in (torch.float64, torch.complex128)]
    if op not in _FREE and not _is_view(func) and any(x.numel() > 16 for x in doubles):
        watch.note("float64", op)
    known = has_cuda_kernel(func, sparse=any(x.here.layout != torch.strided for x in there))
    if known is None:
        watch.seen.unknown[str(func)] += 1
    elif not known:
        watch.note("no kernel", f"{op}.{func._schema.overload_name}")


@cache
def _is_view(func: Any) -> bool:
    returns = func._schema.returns
    return bool(returns) and all(r.alias_info is not None and not r.alias_info.is_write for r in returns)


def _copied(func: Any, args: Any, kwargs: Any, watch: Watch | None, asked: torch.device | None) -> Any:
    """`to`: another dtype, or a copy between host and device."""
    source = args[0]
    was_there = isinstance(source, There)
    goes_there = asked.type == NAME if asked is not None else was_there
    plain = source.here if was_there else source.resolve_conj().resolve_neg()
    options = {key: value for key, value in kwargs.items() if key not in ("device", "non_blocking", "pin_memory")}
    if asked is not None and asked.type == "meta":
        return func(plain, **options, device=asked)
    out = func(plain, **options)
    if watch is not None and not watch.quiet:
        if was_there and goes_there:
            watch.seen.calls["_to_copy"] += 1
            watch.seen.bytes += _size(plain) + _size(out)
            if {plain.dtype, out.dtype} & {torch.float64, torch.complex128}:
                watch.note("float64", "_to_copy")
        elif was_there or goes_there:
            _moved(watch, plain, to_device=goes_there, free=bool(kwargs.get("non_blocking")))
    return There(out) if goes_there else out


def _overwritten(func: Any, args: Any, kwargs: Any, watch: Watch | None) -> Any:
    target, source = args[0], args[1]
    plain = tuple(x.here if isinstance(x, There) else x for x in args)
    func(*plain, **kwargs)
    if watch is not None and not watch.quiet:
        if isinstance(target, There) and isinstance(source, There):
            watch.seen.calls["copy_"] += 1
            watch.seen.bytes += _size(plain[0]) + _size(plain[1])
        elif isinstance(source, There) or (isinstance(target, There) and source.dim()):
            free = args[2:3] == (True,) or bool(kwargs.get("non_blocking"))
            _moved(watch, plain[1], to_device=isinstance(target, There), free=free)
    return target


def _moved(watch: Watch, plain: Tensor, *, to_device: bool, free: bool) -> None:
    """A copy between host and device: CUDA's of pageable memory waits, unless it is told not to."""
    watch.seen.moved["to device" if to_device else "to host"] += _size(plain)
    if not to_device:
        watch.note("sync", "copy to host")
    elif free:
        watch.note("copy", "copy to device")
    else:
        watch.note("sync", "blocking copy to device")


def _size(x: Tensor) -> int:
    """Bytes; what is expanded is read once."""
    if x.layout != torch.strided:
        return int(x.values().numel() * x.element_size()) if x.layout == torch.sparse_csr else 0
    number = 1
    for length, stride in zip(x.shape, x.stride(), strict=True):
        number *= length if stride else 1
    return number * x.element_size()
