"""Compile the Triton kernels for two generations of GPUs, without one; print registers, spilled bytes, shared memory.

    .ci/kernels.py [sm_80 sm_90]

What is compiled is what is launched: attention runs forward and backward with launches noted instead of made.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, get_args

import torch
import triton
from torch import Tensor
from torch_geometric.data import Data
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from graphpe.compiled.kernel import Kernel
from graphpe.graphs.packed import PackedGraphs
from graphpe.models.attention.biases.pair_factors import PairFactors, RelationBias
from graphpe.models.attention.gpu.edges import edge_order, sorted_edge_attention
from graphpe.models.attention.gpu.grit_messages import degree_scaled
from graphpe.models.attention.gpu.neighbours import pair_products, weighted_sums
from graphpe.models.attention.gpu.pair_update import updated_pairs
from graphpe.models.attention.gpu.ragged import ragged_nodes
from graphpe.models.attention.gpu.relational import attend_along_pairs
from graphpe.models.attention.gpu.softmax import ragged_softmax
from graphpe.models.attention.grit.reference import Dropped
from graphpe.models.attention.neighbours.neighbours import Neighbours
from graphpe.models.batches.gpu.blocks import blocks_of_graphs
from graphpe.models.batches.gpu.complete_pairs import complete_pairs
from graphpe.models.batches.nodes import NodeToGraph
from graphpe.models.grit import GRITLayer, PairRows
from graphpe.models.layers.gpu.batch_norm import normalized_sum, normalized_sum_backward
from graphpe.models.layers.gpu.ends.losses import NumbersLoss, mean_loss
from graphpe.models.layers.gpu.ends.pooling import pooled
from graphpe.models.layers.gpu.ends.tables import table_sums
from graphpe.models.layers.gpu.gated_gcn import gated_sums
from graphpe.models.layers.gpu.gine import gine_sums
from graphpe.models.layers.gpu.layer_norm import layer_normalized, layer_normalized_backward
from graphpe.models.layers.gpu.relu import through_relu
from graphpe.models.layers.gpu.two_layers import Activation, two_layers, two_layers_backward
from graphpe.models.layers.gpu.weight_gradients import weight_gradients
from graphpe.models.layers.normalization import RowBatchNorm, RowLayerNorm
from graphpe.structure.plan import Plan
from graphpe.walks.ragged_powers import ragged_powers
from graphpe.walks.steps import steps

TYPES = {
    torch.float64: "fp64",
    torch.float32: "fp32",
    torch.bfloat16: "bf16",
    torch.float16: "fp16",
    torch.int64: "i64",
    torch.int32: "i32",
    torch.int8: "i8",
}
# Bytes of a thread that may leave registers, once around a loop: more is a tile too large.
MOST_SPILLED = 128
TOOL = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"

Launch = tuple[Kernel, tuple[Any, ...], dict[str, Any]]


def members(size: int) -> NodeToGraph:
    graph = torch.arange(3).repeat_interleave(size)
    return NodeToGraph(graph, torch.arange(4) * size, size, 3 * size * size)


def softmax(kind: torch.dtype, size: int, heads: int, width: int, factors: PairFactors | None) -> None:
    nodes = ragged_nodes(members(size))
    rows = [torch.zeros(3 * size, width, dtype=kind, requires_grad=True) for _ in range(3)]
    ragged_softmax(*rows, nodes, factors, heads=heads).sum().backward()


def in_rows(size: int, heads: int) -> PairFactors:
    """Biases and factors of pairs in rows."""
    return PairFactors(*(torch.ones(3 * size * size, heads, requires_grad=True) for _ in range(2)))


def by_relation(size: int, heads: int) -> PairFactors:
    """Biases and factors of relations, and of nodes with 18 columns."""
    relation = torch.zeros(3 * size * size, dtype=torch.int32)
    tables = (torch.ones(65, heads, requires_grad=True) for _ in range(2))
    ends = (torch.ones(3 * size, heads, 18, requires_grad=True) for _ in range(2))
    return PairFactors(None, None, *ends, relations=(RelationBias(relation, *tables),))


def edges(kind: torch.dtype, heads: int, width: int, *, stream: bool) -> None:
    order = edge_order(torch.randint(0, 64, (2, 128)), 64)
    rows = [torch.zeros(64, width, dtype=kind, requires_grad=True) for _ in range(3)]
    factor = torch.zeros(128, width, dtype=kind, requires_grad=True) if stream else None
    out, scores = sorted_edge_attention(*rows, order, factor, heads=heads, return_scores=stream)
    (out.sum() if scores is None else out.sum() + scores.sum()).backward()


def grit(kind: torch.dtype, heads: int, width: int, *, dropout: bool) -> None:
    pairs = ragged_nodes(members(24)).pairs
    layer = GRITLayer(width, heads, attention_dropout=0.2 if dropout else 0.0).to(kind)
    mapped = torch.zeros(72, 3 * width, dtype=kind, requires_grad=True)
    maps = [torch.ones(width, requires_grad=True) for _ in range(2)]
    rows = PairRows(torch.zeros(pairs.num_pairs, width, dtype=kind, requires_grad=True), *maps)
    message, edge_message, new = layer.attend_by_kernels(mapped, rows, pairs)
    message = degree_scaled(message, edge_message, layer.pair_value, layer.degree_scale, torch.zeros(72, 1))
    parts = (message, new.value, new.scale, new.shift)
    torch.stack([x.float().sum() for x in parts if x is not None]).sum().backward()


def relational(kind: torch.dtype, heads: int, width: int) -> None:
    pairs = ragged_nodes(members(24)).pairs
    pair = torch.zeros(pairs.num_pairs, width, dtype=kind, requires_grad=True)
    rows = [torch.zeros(72, width, dtype=kind, requires_grad=True) for _ in range(3)]
    maps = [torch.zeros(width, width, dtype=kind, requires_grad=True) for _ in range(3)]
    attend_along_pairs(*rows, pair, *maps, pairs, heads=heads).sum().backward()
    shapes = [(16, width), (16, width), (width, 16), *[(width,)] * 3, (8, width), (8,), (width, 8), *[(width,)] * 3]
    parameters = tuple(torch.zeros(shape, dtype=kind, requires_grad=True) for shape in shapes)
    ends = [torch.zeros(72, 16, dtype=kind, requires_grad=True) for _ in range(2)]
    keep = torch.ones(2, pairs.num_pairs, width, dtype=torch.bool)
    for dropout in (None, keep):
        updated_pairs(pair, *ends, parameters, pairs, 1e-5, dropout, 1.25).sum().backward()


def neighbours(heads: int, width: int) -> None:
    side, x = Neighbours(torch.randint(0, 64, (2, 128)), 64).entering, torch.zeros(64, width)
    weighted_sums(pair_products(x, x, side, heads), x, side)


def few_rows(kind: torch.dtype, width: int, *, padded: bool) -> None:
    norm, rows = RowBatchNorm(width).to(kind), torch.zeros(100, width, dtype=kind)
    real = torch.ones(100) if padded else None
    dropped = Dropped(torch.ones(100, width, dtype=torch.bool), 1.25) if padded else None
    found = normalized_sum(norm, rows, rows, rows if padded else None, real, dropped)
    normalized_sum_backward(rows, found.total, found.moments, norm.weight, real, dropped)
    through_relu(rows, rows, kind)
    normalized_sum_backward(rows, found.total, found.moments, norm.weight, real, dropped, rows)
    first, last = ((torch.zeros(shape, dtype=kind), torch.zeros(shape[0], dtype=kind)) for shape in _maps(width))
    keep = Dropped(torch.ones(100, 2 * width, dtype=torch.bool), 1.25) if padded else None
    for activation in get_args(Activation):
        between, _ = two_layers(rows, first, last, keep, activation)
        two_layers_backward(rows, between, first[0], last[0], keep, activation, other=rows if padded else None)
    weight_gradients((between.hidden, rows), (rows, between.hidden), dtype=kind)
    of_rows, other = RowLayerNorm(width).to(kind), rows if padded else None
    for more, mask, factor in ((rows, None, None), (None, dropped, torch.ones(100, 1))):
        summed = layer_normalized(of_rows, rows, rows, other, mask, factor)
        options = {"dropped": mask, "factor": factor, "passed": other, "more": more}
        layer_normalized_backward(rows, summed.total, summed.moments, norm.weight, **options)
    layer_normalized(of_rows, rows)
    pairs = Neighbours(torch.randint(0, 100, (2, 200)), 100)
    maps, edge = (torch.zeros(shape, dtype=kind, requires_grad=True) for shape in ((100, 4 * width), (200, width)))
    torch.stack([y.sum() for y in gated_sums(maps, edge, pairs)]).sum().backward()
    x, edge = (torch.zeros(n, width, dtype=kind, requires_grad=True) for n in (100, 200))
    torch.stack([y.sum() for y in gine_sums(x, edge, torch.zeros(1), pairs)]).sum().backward()


def _maps(width: int) -> tuple[tuple[int, int], tuple[int, int]]:
    return (2 * width, width), (width, 2 * width)


def ends(kind: torch.dtype, width: int) -> None:
    graphs = members(24)
    table = torch.zeros(50, width, dtype=kind, requires_grad=True)
    x = table_sums(torch.zeros(72, 3, dtype=torch.long), torch.tensor([0, 20, 40]), table)
    for mean in (False, True):
        pooled(x, graphs.ptr, graphs.graph, mean=mean).sum().backward(retain_graph=True)
    for loss in get_args(NumbersLoss):
        mean_loss(loss, x[:, :1], torch.zeros(72, 1)).backward(retain_graph=True)


def sizes() -> None:
    graphs = members(24)
    complete_pairs(graphs.graph, graphs.ptr, 3 * 24 * 24)
    blocks_of_graphs(graphs.ptr, 16, 7)


def walks() -> None:
    graph = Data(edge_index=torch.randint(0, 24, (2, 96)), num_nodes=24)
    plan = Plan(PackedGraphs.from_data_list([graph]))
    ragged_powers(plan.graphs, plan.once(steps, "forward"), 3)


def launches() -> list[Launch]:
    """What attention launches, each kind once."""
    found: dict[str, Launch] = {}

    def note(kernel: Kernel, programs: int, *args: Any, **constants: Any) -> None:
        kinds = [TYPES[x.dtype] if isinstance(x, Tensor) else x for x in args]
        found.setdefault(
            f"{kernel.function.__module__}{kernel.function.__name__} {kinds} {constants}", (kernel, args, constants)
        )

    launch, Kernel.__call__ = Kernel.__call__, note  # type: ignore[method-assign]
    neighbours(4, 256)
    walks()
    sizes()
    for kind in (torch.float32, torch.bfloat16):
        softmax(kind, 24, 8, 64, in_rows(24, 8))
        softmax(kind, 24, 8, 64, by_relation(24, 8))
        softmax(kind, 128, 4, 256, in_rows(128, 4))
        softmax(kind, 128, 4, 256, by_relation(128, 4))
        softmax(kind, 128, 4, 256, None)
        edges(kind, 8, 64, stream=True)
        edges(kind, 4, 80, stream=False)
        grit(kind, 8, 64, dropout=True)
        grit(kind, 4, 100, dropout=False)
        ends(kind, 64)
        few_rows(kind, 64, padded=False)
        few_rows(kind, 128, padded=True)
        few_rows(kind, 256, padded=True)
        relational(kind, 8, 64)
        relational(kind, 12, 192)
    Kernel.__call__ = launch  # type: ignore[method-assign]
    return list(found.values())


def source_of(launch: Launch) -> ASTSource:
    """A launch as what Triton compiles, with what it is told of arguments at run time."""
    kernel, args, constants = launch
    names = kernel.compiled.arg_names
    signature, values, known = {}, {}, {}
    for number, (name, value) in enumerate(zip(names, args, strict=False)):
        if value is None:
            signature[name], values[name] = "constexpr", None
            continue
        pointer = isinstance(value, Tensor)
        signature[name] = f"*{TYPES[value.dtype]}" if pointer else "i32" if isinstance(value, int) else "fp32"
        if pointer or (isinstance(value, int) and value % 16 == 0):
            known[(number,)] = [["tt.divisibility", 16]]
    for name in names[len(args) :]:
        signature[name], values[name] = "constexpr", constants[name]
    return ASTSource(fn=kernel.compiled, signature=signature, constexprs=values, attrs=known)


def measured(binary: bytes) -> tuple[int, int]:
    """Registers of a thread, and bytes that did not fit into them."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()
        text = subprocess.run([TOOL, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    found = re.search(r"REG:(\d+) STACK:(\d+)", text)
    assert found, text
    return int(found[1]), int(found[2])


def main() -> None:
    """Compile all and print a table."""
    architectures = [int(name.removeprefix("sm_")) for name in sys.argv[1:]] or [80, 90]
    print(f"triton {triton.__version__}\n| kernel | factors | shape | target | warps | registers | spilled | shared |")
    print("|---|---|---|---|---|---|---|---|")
    for launch in launches():
        kernel, args, constants = launch
        name = f"{kernel.function.__module__.rpartition('.')[2]}: {kernel.function.__name__.lstrip('_')}"
        shape = " ".join(
            f"{name}={value}" for name, value in constants.items() if name.isupper() and isinstance(value, int)
        )
        for architecture in architectures:
            options = {"num_warps": constants["warps"], "num_stages": constants["stages"]}
            built = triton.compile(source_of(launch), target=GPUTarget("cuda", architecture, 32), options=options)
            registers, spilled = measured(built.asm["cubin"])
            print(
                f"| {name} | {TYPES[args[0].dtype]} | {shape} | sm_{architecture} "
                f"| {constants['warps']} | {registers} | {spilled} | {built.metadata.shared:,} |",
                flush=True,
            )
            if spilled > MOST_SPILLED:
                sys.exit(f"{spilled} bytes a thread do not fit into registers: make the tiles smaller")


if __name__ == "__main__":
    main()
