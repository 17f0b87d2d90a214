"""Models and encodings that have to be on a device what they are on the CPU, and graphs to try them on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch_geometric.data import Data

from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.benchmarks.tasks.node_level import NodeAdapter
from graphpe.benchmarks.tasks.pair_level import PairAdapter
from graphpe.benchmarks.tasks.task import TaskAdapter
from graphpe.graphs.packed import PackedGraphs

S = "width=16, heads=4, layers=2"
LAP, WALKS, RRWP = "LaplacianPE(k=4)", "RandomWalkPE(8)", "RelativeRandomWalkPE(8)"
MAGNETIC, POTENTIALS = "MagneticLaplacianPE(k=4)", "MagneticLaplacianPE(k=3, potentials=2)"
EIGENVECTORS, DEPTH = "magnetic_eigenvector_pe", "depth_pe"
HOPS = "ShortestPathPE(max_distance=6)"
PEARL = "PEARLEncoding(features='basis', hidden=8, layers=2)"  # random features are other ones on a device
PLAIN, BIASED = f"GraphTransformer({S})", f"GPS({S}, local='none')"


def random_graphs(count: int = 8, *, seed: int = 0, largest: int = 20) -> PackedGraphs:
    """Graphs with one-way edges, parallel edges, loops, isolated nodes, several components; the first of one node."""
    rng = np.random.default_rng(seed)
    graphs = []
    for number in range(count):
        n = 1 if number == 0 else int(rng.integers(2, largest))
        m = max(int(1.2 * n), 1)
        a, b = rng.integers(0, n, m), rng.integers(0, n, m)
        both_ways = rng.random(m) < 0.7
        edges = np.concatenate([np.stack([a, b]), np.stack([b, a])[:, both_ways]], axis=1)
        graphs.append(
            Data(
                x=torch.from_numpy(rng.integers(0, 9, (n, 2))),
                edge_index=torch.from_numpy(edges),
                edge_attr=torch.from_numpy(rng.integers(0, 4, (edges.shape[1], 1))),
                y=torch.from_numpy(rng.standard_normal((1, 3)).astype(np.float32)),
            )
        )
    return PackedGraphs.from_data_list(graphs)


@dataclass(frozen=True)
class Case:
    """A model, and what it is trained on.

    Attributes:
        model: The architecture, as a call.
        encodings: Encodings, as calls.
        encoder: What encodes eigenvectors.
        bias: What makes biases of encodings of pairs.
        perturb: What training does to encodings of nodes.
        adapter: The task's.
        level: The level of the targets.
    """

    model: str
    encodings: Sequence[str] = ()
    encoder: str = "EigenvectorEncoding"
    bias: str = "auto"
    perturb: str = "none"
    adapter: TaskAdapter = field(default=GraphAdapter((9, 9), (4,), 3, "absolute"))
    level: Literal["graph", "node", "pair"] = "graph"

    def graphs(self) -> PackedGraphs:
        """The graphs, with targets of its level."""
        packed = random_graphs()
        if self.level == "graph":
            return packed
        generator = torch.Generator().manual_seed(0)
        if self.level == "node":
            y = torch.randint(0, 4, (packed.num_nodes, 1), generator=generator)
            return packed.structure().with_values(node={**packed.node, "y": y}, edge=packed.edge)
        y = torch.randint(-1, 2, (packed.num_pairs, 1), generator=generator).float()
        return packed.structure().with_values(node=packed.node, edge=packed.edge, pair={"y": y})

    @property
    def name(self) -> str:
        """What it is called in tables."""
        more = [self.encoder if self.encoder != "EigenvectorEncoding" else "", self.bias if self.bias != "auto" else ""]
        more += [self.perturb if self.perturb != "none" else ""]
        loss = getattr(self.adapter, "loss_name", "")
        return " ".join([self.model.replace(S, "..."), *self.encodings, *filter(None, more), loss])


# One of each architecture and path: what runs by default.
FIRST = [
    Case("GCN(width=16, layers=2)", [LAP, WALKS]),
    Case("GINE(width=16, layers=2, norm='layer', readout='max')"),
    Case("GatedGCN(width=16, layers=2)", [LAP]),
    Case("GCN(width=16, layers=3, variant='ogb', residual=False)"),
    Case("GINE(width=16, layers=2, variant='ogb', virtual_node=True, norm='layer')", [WALKS]),
    Case("GatedGCN(width=16, layers=2, feed_forward=True, activation='gelu')", [WALKS]),
    Case(f"PPGT({S}, attention_dropout=0.0, drop_path=0.0)", [RRWP]),
    Case(f"GraphTransformer({S}, attention='sparse')", [LAP, WALKS]),
    Case(f"GraphTransformer({S}, attention='full', update_edges=True, norm='layer', readout='sum')", [LAP]),
    Case(f"GRIT({S}, attention='full', attention_dropout=0.0)", [RRWP]),
    Case(f"GRIT({S}, attention='sparse', attention_dropout=0.0, checkpoint=True)", [RRWP, WALKS]),
    Case(f"RelationalTransformer({S}, attention='full', global_vector='node')", [RRWP]),
    Case(f"RelationalTransformer({S}, attention='sparse', checkpoint=True)", [RRWP]),
    Case(f"RelationalTransformer({S}, attention='sparse', global_vector='node')", [RRWP]),
    Case(f"EdgeTransformer({S}, attention_dropout=0.0)", [RRWP]),
    Case(f"GPS({S})", [HOPS, WALKS]),
    Case(f"GPS({S}, local='GAT', attention='linear', norm='layer')", [WALKS]),
    Case(f"GPS({S}, attention='rotary', rotary_channels=4)", ["SpectralCoordinates(k=4)"]),
    Case(f"Graphormer({S})", ["EdgePathPE(3, num_types=(4,))", "ResistancePE()"]),
    Case(f"GPS({S}, encodings_in='every_layer')", [PEARL, "TreePathPE(4)", "ConditionalEncoding()"]),
    Case(f"SAT({S}, readout='cls')", [LAP, HOPS]),
    Case(f"Graphormer({S})", ["SpectralCoordinates(k=4)"], bias="PairBias(head='linear', factored=True)"),
    Case(f"SAT({S}, readout='cls')", ["SpectralCoordinates(k=4)"], bias="RotaryAttention"),
    Case(BIASED, ["SpectralCoordinates(k=4)"], bias="GTA + ComRoPE + HARoPE + PoPE"),
    Case(BIASED, ["DepthPE()", MAGNETIC], bias=f"MagneticRotary(key={EIGENVECTORS!r}) + XPos(key={DEPTH!r})"),
    Case(f"SAT({S}, readout='cls')", ["DepthPE()"], bias="HoPE + TreeTransport + PaTH + CARoPE + SelectiveRoPE"),
    Case(f"Exphormer({S}, local='GINE')", [LAP]),
    Case(f"NeuralWalker({S}, walk_length=6, window=4)", [WALKS]),
    Case(f"GPS({S}, attention='tree', norm='layer')", [WALKS]),
    Case(f"TopologicalTransformer({S}, mask='none')", [WALKS]),
    Case(f"TopologicalTransformer({S}, mask='heads', tree='minimum')", [WALKS]),
    *(
        Case(f"ClassicGNN(conv={conv!r}, width=16, layers=2, norm='batch', residual=True)", [WALKS])
        for conv in ("GCN", "SAGE", "GAT")
    ),
    Case("SGFormer(width=16, layers=1)", [WALKS]),
    Case("Polynormer(width=16, layers=2, global_layers=1, heads=2)", [WALKS]),
    Case("NAGphormer(width=16, hops=2, layers=1, heads=2)", ["HopFeatures(2, features={'x': 2})"]),
    Case("Specformer(width=16, layers=2, heads=2)", ["LaplacianPE(k=4, drop_zero_modes=False)"]),
    Case("Specformer(width=16, layers=1, heads=2, norm='layer')", ["MagneticLaplacianPE(k=3, potentials=2)"]),
    Case(PLAIN, [MAGNETIC], encoder="MagLapNet(phi='gin')"),
    Case(PLAIN, [LAP], encoder="BasisNet(taper=0.1)"),
    Case(PLAIN, [POTENTIALS], encoder="SPE(taper=0.1)"),
    Case(PLAIN, [LAP], encoder="SignNet(phi='mlp', rho='deepset')"),
    Case(PLAIN, ["LaplacianPE(k=4, certificate=True)"], encoder="SignNet(gap_width=0.1)"),
    Case(BIASED, [HOPS], bias="PairBias(head='gaussian', mode='both')"),
    Case(
        BIASED,
        [HOPS, WALKS],
        bias="PairBias(head='fire', randomized=32)",
        perturb="Perturbed(noise=0.1, drop=0.2)",
    ),
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
    *("DirectedRandomWalkPE(walk_length=3)", "SpectralCoordinates(k=3)", "TreePathPE(4)"),
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
    Case(f"Graphormer({S})", ["SpectralCoordinates(k=4)"], bias="YaRN(span=0.5)"),
    Case(f"GRIT({S}, attention_dropout=0.0)"),
    *(
        Case(model, ["SpectralCoordinates(k=4)"], bias="RotaryAttention")
        for model in (f"TopologicalTransformer({S})", f"GraphTransformer({S}, attention='full')")
    ),
    Case(f"TopologicalTransformer({S})", bias="TreeTransport(steps='type', type_key='edge_attr') + PaTH"),
    Case(f"GPS({S}, attention='linear')", bias="TreeTransport(steps='order') + PaTH(decay=0.1)"),
    *(
        Case(f"RelationalTransformer({S}, attention='{a}'{more})", [RRWP])
        for a in ("sparse", "full")
        for more in ("", ", global_vector='cat'", ", dropout=0.1")
    ),
    Case(f"RelationalTransformer({S}, pair_output=True)", [HOPS]),
    Case(f"EdgeTransformer({S}, attention_dropout=0.0, checkpoint=True)", [HOPS, WALKS]),
    *(Case(f"GPS({S}, local='{local}')", [LAP]) for local in ("GatedGCN", "GINE", "GCN", "GAT", "none")),
    *(Case(f"GPS({S}, attention='{a}', norm='layer')", [WALKS]) for a in ("softmax", "none")),
    Case(f"GPS({S}, attention_dropout=0.1, dropout=0.1)", [WALKS]),
    Case(f"Graphormer({S}, virtual_node=False, readout='mean')", [HOPS, LAP]),
    Case(f"SAT({S}, hops=0, bidirectional=False, norm='layer')", [LAP]),
    *(Case(f"Exphormer({S}, local='{local}')", [LAP]) for local in ("GatedGCN", "GCN", "GAT", "none")),
    Case(f"Exphormer({S}, degree=0, virtual_nodes=2)", [WALKS]),
    Case(f"Exphormer({S}, degree=2, virtual_nodes=0)", [WALKS]),
    *(
        Case(f"NeuralWalker({S}, walk_length=6, sequence='{name}', global_layer='attention')", [WALKS])
        for name in ("recurrent", "attention")
    ),
    *(
        Case(f"TopologicalTransformer({S}, mask='{m}', tree='{t}')", [WALKS])
        for m in ("heads", "synced")
        for t in ("minimum", "shortest")
    ),
    *(Case(PLAIN, [e], encoder=name) for name in _ENCODERS for e in (LAP, MAGNETIC, POTENTIALS)),
    *(Case(PLAIN, [encoding]) for encoding in _NODE_ENCODINGS),
    Case(PLAIN, [PEARL]),
    Case(PLAIN, ["SpectralCoordinates(k=3)"], encoder="FourierFeatures(features=8)"),
    *(
        Case(f"{name}({S}, encodings_in='every_layer')", [WALKS])
        for name in ("Graphormer", "GRIT", "RelationalTransformer", "GraphTransformer", "Exphormer", "SAT")
    ),
    *(Case(BIASED, [HOPS], bias=f"PairBias(head='{h}', mode='{m}')") for h in _HEADS for m in ("add", "multiply")),
    *(Case(BIASED, [HOPS], bias=f"PairBias(head='{h}')") for h in ("alibi", "kerple_log", "kerple_power")),
    Case(BIASED, [RRWP], bias="PairBias(head='mlp', mode='both')"),
    Case(BIASED, ["EdgePathPE(3, num_types=(4,))"], bias="PairBias(head='path')"),
    *(
        Case(BIASED, ["ShortestPathPE(6, undirected=False)", WALKS], bias=bias)
        for bias in ("RelationTerms(size=4, directed=True)", "DirectedHeads + LogLength")
    ),
    *(Case(BIASED, [encoding]) for encoding in _PAIR_ENCODINGS),
    *(Case(f"GRIT({S}, attention_dropout=0.0)", [encoding]) for encoding in _PAIR_ENCODINGS),
    *(Case(PLAIN, adapter=GraphAdapter((9, 9), (4,), 3, loss)) for loss in ("binary", "squared")),
]  # fmt: skip

ENCODINGS = [
    "LaplacianPE(k=4)", "LaplacianPE(k=4, sign='canonical')",
    "LaplacianPE(k=4, normalization='rw', drop_zero_modes=False, sign='none')",
    "MagneticLaplacianPE(k=4)", "MagneticLaplacianPE(k=3, potentials=2, sign='canonical')",
    "RandomWalkPE(walk_length=8)", "DirectedRandomWalkPE(walk_length=4)",
    "DirectedRandomWalkPE(walk_length=4, level='pair')", "RelativeRandomWalkPE(walk_length=8)",
    "RelativeRandomWalkPE(walk_length=8, undirected=True)", "ShortestPathPE()", "ShortestPathPE(max_distance=5)",
    "ShortestPathPE(weighted=True)", "ResistancePE()", "CommuteTimePE()", "HeatKernelPE([1.0, 4.0])",
    "HeatKernelPE([1.0], level='pair')", "PersonalizedPageRankPE()", "ElectrostaticPE()", "DiffusionPE(k=3)",
    "SVDPE(k=3)", "DegreePE()", "DegreePE(max_degree=4)", "WeisfeilerLehmanPE(iterations=3)", "CyclePE(max_length=5)",
    "DepthPE()", "DepthPE(direction='leaves')", "TreePathPE(4)", "ReachabilityPE()", "SpectralCoordinates(k=3)",
    "TreeFieldPE()", "TreeFieldPE(shape=True, eigenvalues=2, random_fields=2, features={'x': 2})",
    "TreeFieldPE(tree='random', num_trees=2)", "TreeFieldPE(tree='hierarchical')", "TreeDistancePE()",
    "EdgePathPE(3, num_types=(4,))",
]  # fmt: skip
