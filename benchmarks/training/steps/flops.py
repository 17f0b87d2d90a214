"""How much arithmetic a step of training is: operations of PyTorch, counted while it is made.

Products of matrices count 2 m n k, and everything that PyTorch calls pointwise one an element that comes out,
reductions one an element that goes in; what normalises, or adds rows up, by a table below. Copies, views and gathers
are no arithmetic. Compiled passes cannot be counted: they stand back for the formulas in PyTorch that they are tested
against, and which read the same pairs. What has no such formulas (sums over trees) takes its numbers out of PyTorch,
and an operation may be unknown here: then there is no count, rather than one without a part.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from graphpe.benchmarks.training.batches.whole_graphs import WholeGraphs
from graphpe.benchmarks.training.loop import Training
from graphpe.compiled.standing_back import standing_back

_GRAPHS = 8  # of a batch that is counted: arithmetic of different graphs adds up
_MOST_PAIRS = 300_000  # of nodes of these graphs: the formulas keep several rows for each pair in every layer

_INPUTS: dict[str, int] = {
    **dict.fromkeys(("sum", "mean", "amax", "amin", "max", "min", "prod", "cumsum", "logsumexp"), 1),
    **dict.fromkeys(("dot", "mv", "vdot"), 2),
    **dict.fromkeys(("var", "var_mean", "std", "linalg_vector_norm", "norm", "mse_loss", "huber_loss"), 3),
    **dict.fromkeys(("smooth_l1_loss", "binary_cross_entropy_with_logits", "binary_cross_entropy"), 6),
}
"""Operations of each number of the first argument."""

_OUTPUTS: dict[str, int] = {
    **dict.fromkeys(("native_dropout", "native_dropout_backward"), 1),
    **dict.fromkeys(("leaky_relu_backward", "elu_backward", "gelu_backward", "silu_backward", "softplus_backward"), 3),
    **dict.fromkeys(("mse_loss_backward", "huber_loss_backward", "smooth_l1_loss_backward"), 3),
    **dict.fromkeys(("_softmax", "_safe_softmax", "_log_softmax"), 4),  # largest, exponential, sum, quotient
    **dict.fromkeys(("_softmax_backward_data", "_log_softmax_backward_data"), 4),
    **dict.fromkeys(("native_layer_norm", "native_batch_norm"), 7),  # mean, variance, and both linear maps
    **dict.fromkeys(("native_layer_norm_backward", "native_batch_norm_backward"), 11),
}
"""Operations of each number of the first result."""

_ADDED: dict[str, int] = {
    **dict.fromkeys(("index_add", "scatter_add", "scatter_reduce"), 3),
    **dict.fromkeys(("index_put", "_index_put_impl"), 2),
    **dict.fromkeys(("embedding_dense_backward", "segment_reduce"), 0),
}
"""Those that add rows up: the place of the argument whose every number is added once."""

_NONE = set(
    "_to_copy _local_scalar_dense _unsafe_view _unsafe_index alias arange bernoulli bincount cat clone "
    "constant_pad_nd copy embedding empty empty_like empty_strided eye fill flip full full_like gather index "
    "index_copy index_fill index_select lift_fresh masked_fill masked_scatter masked_select narrow_copy new_empty "
    "new_empty_strided nll_loss_forward nll_loss_backward new_full new_ones new_zeros nonzero normal ones ones_like "
    "rand randint randn randperm repeat repeat_interleave roll scalar_tensor scatter select_backward slice_backward "
    "sort split_copy stack topk uniform unique_consecutive zero zeros zeros_like".split()
)
"""Those that move numbers, choose one (of a class), draw them or compare them, and are neither views nor pointwise."""


class _Counter(TorchDispatchMode):
    """Counts the operations inside.

    Attributes:
        flops: So far.
        unknown: Operations that it does not know.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0.0
        self.unknown: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        floats = [each for each in tree_leaves(out) if isinstance(each, Tensor) and each.is_floating_point()]
        if func.is_view or torch.Tag.inplace_view in func.tags:
            return out
        if any(isinstance(each, Tensor) and each.is_complex() for each in tree_leaves((args, out))):
            self.unknown.add(f"{func} of complex numbers")
        elif floats:
            self._count(func, args, kwargs or {}, out, floats[0].numel())
        return out

    def _count(self, func: Any, args: Any, kwargs: Any, out: Any, numbers: int) -> None:
        name = func.overloadpacket.__name__.rstrip("_")
        if func.overloadpacket in flop_registry:
            self.flops += flop_registry[func.overloadpacket](*args, **kwargs, out_val=out)
        elif name in _INPUTS:
            self.flops += _INPUTS[name] * args[0].numel()
        elif name in _OUTPUTS:
            self.flops += _OUTPUTS[name] * numbers
        elif name in _ADDED:
            self.flops += args[_ADDED[name]].numel()
        elif name == "addmv":
            self.flops += 2 * args[1].numel()
        elif name in _NONE:
            pass
        elif torch.Tag.pointwise in func.tags:
            self.flops += numbers
        else:
            self.unknown.add(str(func))


class _Leaving(TorchFunctionMode):
    """Notes whether numbers leave PyTorch."""

    def __init__(self) -> None:
        super().__init__()
        self.left = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.left |= func is Tensor.numpy and args[0].is_floating_point()
        return func(*args, **(kwargs or {}))


def flops_of(step: Callable[[], object]) -> tuple[float, str]:
    """The arithmetic of what a function does, forward and backward, on a CPU.

    Args:
        step: The function. Compiled passes of models stand back while it runs.

    Returns:
        The operations, and why they are not all: empty where they are.
    """
    counter, leaving = _Counter(), _Leaving()
    with standing_back(), sdpa_kernel(SDPBackend.MATH), leaving, counter:
        step()
    why = "numbers leave PyTorch" if leaving.left else ""
    return counter.flops, why or ", ".join(sorted(counter.unknown))


def flops_per_graph(training: Training) -> float:
    """The arithmetic of a step of training by graph: forward, loss and backward, without the optimizer.

    It is that of the first graphs of the first epoch, the same for all columns and models of one seed. The model has
    gradients and statistics of another step after it.

    Args:
        training: The run, on one CPU.

    Returns:
        nan for tasks that are not about whole graphs, on other devices, for too large graphs, and where a part of the
        model cannot be counted.
    """
    if training.data.unit != "graph" or not training.on_one_core:
        return math.nan
    config = replace(training.config, batch_size=min(_GRAPHS, training.config.batch_size))
    source = WholeGraphs(training.data, training.graphs, training.transform, config, training.fabric)
    batch, asked = next(source.train(0))
    if int((batch.ptr.diff() ** 2).sum()) > _MOST_PAIRS:
        return math.nan
    training.model.train()
    flops, why_not = flops_of(lambda: training.fabric.backward(training.loss(batch)))
    return math.nan if why_not else flops / asked
