"""Training steps of every architecture, encoder, bias and loss on the pretended accelerator.

They have to end in the CPU's numbers, and must never wait for the device: a step of a few hundred small kernels is
nothing but waiting otherwise.
"""

from __future__ import annotations

import pytest

from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.benchmarks.tasks.node_level import NodeAdapter
from graphpe.benchmarks.tasks.pair_level import PairAdapter

from .conftest import Compare
from .steps import Case, step

S = "width=16, heads=4, layers=2"
LAP, WALKS, RRWP = "LaplacianPE(k=4)", "RandomWalkPE(8)", "RelativeRandomWalkPE(8)"
MAGNETIC, POTENTIALS = "MagneticLaplacianPE(k=4)", "MagneticLaplacianPE(k=3, potentials=2)"
HOPS = "ShortestPathPE(max_distance=6)"
PLAIN, BIASED = f"GraphTransformer({S})", f"GPS({S}, local='none')"

# One of each architecture and path: what runs by default.
FIRST = [
    Case("GCN(width=16, layers=2)", [LAP, WALKS]),
    Case("GINE(width=16, layers=2, norm='layer', readout='max')"),
    Case("GatedGCN(width=16, layers=2)", [LAP]),
    Case(f"GraphTransformer({S}, attention='sparse')", [LAP, WALKS]),
    Case(f"GraphTransformer({S}, attention='full', update_edges=True, norm='layer', readout='sum')", [LAP]),
    Case(f"GRIT({S}, attention='full', attention_dropout=0.0)", [RRWP]),
    Case(f"GRIT({S}, attention='sparse', attention_dropout=0.0, checkpoint=True)", [RRWP, WALKS]),
    Case(f"RelationalTransformer({S}, attention='full', global_vector='node')", [RRWP]),
    Case(f"RelationalTransformer({S}, attention='sparse', checkpoint=True)", [RRWP]),
    Case(f"RelationalTransformer({S}, attention='sparse', global_vector='node')", [RRWP]),
    Case(f"GPS({S})", [HOPS, WALKS]),
    Case(f"GPS({S}, local='GAT', attention='linear', norm='layer')", [WALKS]),
    Case(f"GPS({S}, attention='rotary', rotary_channels=4)", ["SpectralCoordinates(k=4)"]),
    Case(f"Graphormer({S})", ["EdgePathPE(3, num_types=(4,))", "ResistancePE()"]),
    Case(f"SAT({S}, readout='cls')", [LAP, HOPS]),
    Case(f"Exphormer({S}, local='GINE')", [LAP]),
    Case(f"GPS({S}, attention='tree', norm='layer')", [WALKS]),
    Case(f"TopologicalTransformer({S}, mask='none')", [WALKS]),
    Case(f"TopologicalTransformer({S}, mask='heads', tree='minimum')", [WALKS]),
    Case(PLAIN, [MAGNETIC], encoder="MagLapNet(phi='gin')"),
    Case(PLAIN, [LAP], encoder="BasisNet(taper=0.1)"),
    Case(PLAIN, [POTENTIALS], encoder="SPE(taper=0.1)"),
    Case(PLAIN, [LAP], encoder="SignNet(phi='mlp', rho='deepset')"),
    Case(BIASED, [HOPS], bias="PairBias(head='gaussian', mode='both')"),
    Case(PLAIN, adapter=GraphAdapter((9, 9), (4,), 3, "absolute", shift=(0.1, 0.2, 0.3), scale=(1.0, 2.0, 3.0))),
    Case(f"GraphTransformer({S}, readout='none')", adapter=NodeAdapter((9, 9), (4,), 4, "balanced"), level="node"),
    Case(f"GraphTransformer({S}, readout='none')", [LAP], adapter=PairAdapter((9, 9), (), 1, "binary"), level="pair"),
]

_ENCODERS = [
    *("EigenvectorEncoding", "EigenvectorMLP", "EigenvectorDeepSet", "EigenvectorTransformer", "SignNet"),
    *("SignNet(phi='mlp', rho='deepset')", "SPE", "SPE(reduction='rows')", "SPE(taper=0.1)", "BasisNet"),
    *("BasisNet(taper=0.1)", "MagLapNet", "MagLapNet(phi='gin')"),
]
_NODE_ENCODINGS = [
    *("DegreePE()", "DegreePE(max_degree=8)", "WeisfeilerLehmanPE(iterations=2)", "CyclePE(max_length=5)"),
    *("HeatKernelPE([1.0, 5.0])", "ElectrostaticPE()", "SVDPE(k=3)", "DiffusionPE(k=3)", "TreeFieldPE()", "DepthPE()"),
    *("DirectedRandomWalkPE(walk_length=3)", "SpectralCoordinates(k=3)"),
]
_PAIR_ENCODINGS = [
    *("CommuteTimePE()", "PersonalizedPageRankPE()", "ReachabilityPE()", "TreeDistancePE()"),
    *("HeatKernelPE([1.0], level='pair')", "DirectedRandomWalkPE(walk_length=3, level='pair')"),
]
_HEADS = ["table", "t5", "fire", "gaussian", "mlp"]
REST = [
    *(Case(f"{name}(width=16, layers=2)", [LAP]) for name in ("GINE", "GatedGCN")),
    *(Case(f"GraphTransformer({S}, attention='{a}')", [LAP, WALKS]) for a in ("sparse", "full")),
    *(Case(f"GRIT({S}, attention='{a}', attention_dropout=0.0)", [HOPS]) for a in ("sparse", "full")),
    *(Case(f"GRIT({S}, attention='{a}', attention_dropout=0.2, dropout=0.1)", [RRWP]) for a in ("sparse", "full")),
    Case(f"GRIT({S}, attention_dropout=0.0)"),
    *(
        Case(f"RelationalTransformer({S}, attention='{a}'{more})", [RRWP])
        for a in ("sparse", "full")
        for more in ("", ", global_vector='cat'", ", dropout=0.1")
    ),
    Case(f"RelationalTransformer({S}, pair_output=True)", [HOPS]),
    *(Case(f"GPS({S}, local='{local}')", [LAP]) for local in ("GatedGCN", "GINE", "GCN", "GAT", "none")),
    *(Case(f"GPS({S}, attention='{a}', norm='layer')", [WALKS]) for a in ("softmax", "none")),
    Case(f"GPS({S}, attention_dropout=0.1, dropout=0.1)", [WALKS]),
    Case(f"Graphormer({S}, virtual_node=False, readout='mean')", [HOPS, LAP]),
    Case(f"SAT({S}, hops=0, bidirectional=False, norm='layer')", [LAP]),
    *(Case(f"Exphormer({S}, local='{local}')", [LAP]) for local in ("GatedGCN", "GCN", "GAT", "none")),
    Case(f"Exphormer({S}, degree=0, virtual_nodes=2)", [WALKS]),
    Case(f"Exphormer({S}, degree=2, virtual_nodes=0)", [WALKS]),
    *(
        Case(f"TopologicalTransformer({S}, mask='{m}', tree='{t}')", [WALKS])
        for m in ("heads", "synced")
        for t in ("minimum", "shortest")
    ),
    *(Case(PLAIN, [e], encoder=name) for name in _ENCODERS for e in (LAP, MAGNETIC, POTENTIALS)),
    *(Case(PLAIN, [encoding]) for encoding in _NODE_ENCODINGS),
    *(Case(BIASED, [HOPS], bias=f"PairBias(head='{h}', mode='{m}')") for h in _HEADS for m in ("add", "multiply")),
    *(Case(BIASED, [HOPS], bias=f"PairBias(head='{h}')") for h in ("alibi", "kerple_log", "kerple_power")),
    Case(BIASED, [RRWP], bias="PairBias(head='mlp', mode='both')"),
    Case(BIASED, ["EdgePathPE(3, num_types=(4,))"], bias="PairBias(head='path')"),
    *(Case(BIASED, [encoding]) for encoding in _PAIR_ENCODINGS),
    *(Case(f"GRIT({S}, attention_dropout=0.0)", [encoding]) for encoding in _PAIR_ENCODINGS),
    *(Case(PLAIN, adapter=GraphAdapter((9, 9), (4,), 3, loss)) for loss in ("binary", "squared")),
]  # fmt: skip


def _name(case: Case) -> str:
    more = [case.encoder if case.encoder != "EigenvectorEncoding" else "", case.bias if case.bias != "auto" else ""]
    loss = getattr(case.adapter, "loss_name", "")
    return " ".join([case.model.replace(S, "..."), *case.encodings, *filter(None, more), loss])


def _slow(cases: list[Case]) -> list[object]:
    return [pytest.param(case, id=_name(case), marks=pytest.mark.slow) for case in cases]


def _check_numbers(case: Case) -> None:
    once = step(case)
    if once.gradient[0] > 1e-3:  # roots near zero amplify rounding
        once = step(case, double=True)
    assert once.output < 1e-4
    assert once.gradient[0] < 1e-3, once.gradient


@pytest.mark.parametrize("case", [*(pytest.param(case, id=_name(case)) for case in FIRST), *_slow(REST)])
def test_a_step_gives_the_numbers_of_the_cpu_and_never_waits(case: Case, compare: Compare) -> None:
    once = step(case)
    compare(_name(case), once)
    assert not once.seen.syncs, once.seen.report()
    assert not once.seen.of("mixing", "no kernel"), once.seen.report()
    assert not once.seen.unknown, once.seen.unknown
    _check_numbers(case)
