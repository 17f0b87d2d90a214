"""Parts of a set of pairs for the threads of compiled passes, and tensors as the arrays that these take."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphpe.compiled.jit import compiles_everything
from graphpe.compiled.standing_back import stands_back
from graphpe.compiled.threads import one_blas_thread

# Pairs (of four graphs of 25 nodes) up to which the reference runs instead of passes that take 7 to 15 seconds to
# compile, once on a machine; a step then takes 70 ms instead of 25 (GRIT, 4 layers of width 64). The number of pairs
# alone decides, never what has been compiled before: the same steps give the same bits everywhere.
_FEW_PAIRS = 2560
_PAIRS_PER_THREAD = 2000  # handing work to a thread costs what about a hundred pairs do


def compiled_runs(*tensors: Tensor) -> bool:
    """Whether the compiled passes take these: float32 or float64 on a CPU, rows of a multiple of eight numbers.

    The first tensor is of pairs; see `enough_pairs`.

    Args:
        *tensors: Values of pairs, and what else the passes read.
    """
    first = tensors[0]
    return (
        first.dtype in (torch.float32, torch.float64)
        and first.shape[1] % 8 == 0
        and enough_pairs(first.shape[0])
        and all(x.device.type == "cpu" and x.dtype == first.dtype for x in tensors)
        and not torch.is_autocast_enabled("cpu")
    )


def enough_pairs(number: int) -> bool:
    """Whether there are enough pairs for the compiled passes; always, where everything is compiled.

    Never, where these stand back.

    Args:
        number: Number P of pairs.
    """
    return not stands_back() and (number > _FEW_PAIRS or compiles_everything())


def parts_of(ptr: Tensor) -> list[tuple[int, int]]:
    """First and last node of each thread's part; of about equally many pairs.

    Args:
        ptr: First pair of each node and, last, the number of pairs, `[N + 1]`, on the CPU.
    """
    pairs = int(ptr[-1])
    threads = max(1, min(torch.get_num_threads(), pairs // _PAIRS_PER_THREAD))
    if threads == 1:
        return [(0, ptr.numel() - 1)]
    cuts = np.searchsorted(array(ptr)[1:-1], np.linspace(0, pairs, threads + 1)[1:-1]).tolist()
    cuts = [0, *cuts, ptr.numel() - 1]
    return list(pairwise(cuts))


def run_parts(run: Callable[[int], None], count: int) -> None:
    """Call `run` with the number of every part, at once.

    Args:
        run: Does a part, from its number.
        count: Number of parts.
    """
    with one_blas_thread():
        if count == 1:
            run(0)
        else:
            list(_pool(count).map(run, range(count)))


def new_rows(rows: int, width: int, like: Tensor) -> Tensor:
    """An uninitialised `[rows, width]`, from NumPy: it asks Linux for large pages, which are much cheaper to touch.

    Args:
        rows: Number of rows.
        width: Numbers of each.
        like: A tensor of the dtype that is wanted.
    """
    return torch.from_numpy(np.empty((rows, width), array(like).dtype))


def array(x: Tensor) -> np.ndarray:
    """The numbers of a tensor as an array; detached, since other threads than autograd's own want a gradient.

    Args:
        x: The tensor, on the CPU.
    """
    return x.detach().numpy()


def flat(x: Tensor) -> np.ndarray:
    """The numbers of a tensor as a flat array.

    Args:
        x: The tensor, on the CPU.
    """
    return x.detach().reshape(-1).numpy()


def lanes_of(width: int) -> tuple[int, ...]:
    """A tuple as long as the registers that rows of this width are worked on with.

    Args:
        width: Numbers of a row, a multiple of 8.
    """
    return (0,) * (16 if width % 16 == 0 else 8)


def pad_last(x: Tensor, size: int) -> Tensor:
    """The tensor with zeros after its last dimension, up to a size; itself if it has that size.

    Args:
        x: The tensor.
        size: Size of the last dimension that is wanted.
    """
    missing = size - x.shape[-1]
    return torch.nn.functional.pad(x, (0, missing)) if missing else x


def pad_heads(x: Tensor, heads: int) -> Tensor:
    """The channels `[..., H C]` of heads side by side, each with zeros up to a multiple of eight.

    Args:
        x: Channels, `[..., H C]`.
        heads: Number H of heads.
    """
    channels = x.shape[-1] // heads
    return pad_last(x.unflatten(-1, (heads, channels)), -(-channels // 8) * 8).flatten(-2)


def unpad_heads(x: Tensor, heads: int, channels: int) -> Tensor:
    """The channels without these zeros.

    Args:
        x: Channels with zeros, as from `pad_heads`.
        heads: Number H of heads.
        channels: Channels C of each.
    """
    return x.unflatten(-1, (heads, -1))[..., :channels].flatten(-2)


@cache
def _pool(threads: int) -> Any:
    return ThreadPoolExecutor(threads, "pairs")


os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not live on in a forked process
