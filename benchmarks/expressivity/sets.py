"""The sets of graphs that `graphpe expressivity` reads, and what it compares by default: a line for each."""

from typing import NamedTuple

DATASETS = {
    "graph8c": "graph8c.g6",
    "EXP": "EXP.GRAPHSAT.txt.gz",
    "CEXP": "CEXP.GRAPHSAT.txt.gz",
    "BREC-basic": "brec.g6",
    "BREC-regular": "brec.g6",
    "BREC-extension": "brec.g6",
    "sr25": "sr251256.g6",
}
"""Sets of graphs that are read, and their files."""

MADE = ("CSL",)
"""Sets of graphs that are made."""

ALL_SETS = ("graph8c", "CSL", "EXP", "CEXP", "BREC-basic", "BREC-regular", "BREC-extension", "sr25")

BREC_PARTS = {"BREC-basic": (0, 60), "BREC-regular": (60, 160), "BREC-extension": (160, 260)}
"""Pairs of BREC's file that belong to each part."""

DEFAULT_ENCODINGS = (
    "DegreePE()",
    "WeisfeilerLehmanPE(iterations=8, num_colours=1048576)",
    "RandomWalkPE(walk_length=8)",
    "RandomWalkPE(walk_length=16)",
    "HeatKernelPE(times=(0.5, 1.0, 2.0, 4.0))",
    "ElectrostaticPE()",
    "CyclePE(max_length=4)",
    "CyclePE(max_length=6)",
    "CyclePE(max_length=8, kind='walks')",
    "HomomorphismPE(patterns=('Trees(6)',))",
    "HomomorphismPE(patterns=('Cycles(8)',))",
    "HomomorphismPE(patterns=('Cycles(8)',), weights='inverse_degree')",
    "HomomorphismPE(patterns=([(0, 1), (1, 2), (2, 3), (3, 0), (0, 2)],))",
    "HomomorphismPE(patterns=('Connected(4)',))",
    "HomomorphismPE(patterns=('Cliques(5)',))",
    "MotifPE(motifs=('Cycles(7)',))",
    "MotifPE(motifs=('Clique(4)',))",
    "MotifPE(motifs=('Connected(4)',), induced=True)",
    "MotifPE(motifs=('Connected(5)',), induced=True)",
    "DirectedRandomWalkPE(walk_length=8)",
    "LaplacianPE(k=8)",
    "LaplacianPE(k=64)",
    "MagneticLaplacianPE(k=8)",
    "ShortestPathPE()",
    "ResistancePE()",
    "CommuteTimePE()",
    "PersonalizedPageRankPE()",
    "HeatKernelPE(times=(0.5, 1.0, 2.0, 4.0), level='pair')",
    "DiffusionPE(level='pair')",
    "RelativeRandomWalkPE(walk_length=8)",
    "RelativeRandomWalkPE(walk_length=16)",
    "DirectedRandomWalkPE(walk_length=8, level='pair')",
    "ReachabilityPE()",
    "SVDPE(k=8)",
    "DiffusionPE(k=8)",
    "SpectralCoordinates(k=8)",
    "TreeFieldPE()",
    "TreeDistancePE()",
    "TreePathPE()",
)
"""Encodings that are compared by themselves."""


class Case(NamedTuple):
    """A model with encodings.

    Attributes:
        model: The model's text, as `graphpe train --model` takes it.
        encodings: Texts of encodings, joined by " + "; none where it is "none".
        encoder: What brings eigenvectors to the model, as `graphpe train --encoder` takes it.
    """

    model: str
    encodings: str = "none"
    encoder: str = "EigenvectorEncoding"


_WALKS, _PAIR_WALKS, _HOPS = "RandomWalkPE(16)", "RelativeRandomWalkPE(8)", "ShortestPathPE(max_distance=16)"
_CERTIFIED = "EigenvectorEncoding(gap_width=0.01)"

DEFAULT_MODELS = (
    Case("GCN(width=16, layers=4)"),
    Case("GCN(width=16, layers=4)", _WALKS),
    Case("GINE(width=16, layers=4)"),
    Case("GINE(width=16, layers=4)", _WALKS),
    Case("GINE(width=16, layers=4)", "CyclePE(max_length=4)"),
    Case("GINE(width=16, layers=4)", "HomomorphismPE('Cycles(8)')"),
    Case("GINE(width=16, layers=4)", "HomomorphismPE('Cliques(5)')"),
    Case("GINE(width=16, layers=4)", "MotifPE('Connected(4)', induced=True)"),
    Case("GINE(width=16, layers=4)", "LaplacianPE(k=8)"),
    Case("GINE(width=16, layers=4)", "LaplacianPE(k=8, sign='map')"),
    Case("GINE(width=16, layers=4)", "LaplacianPE(k=8, sign='map', certificate=True)", _CERTIFIED),
    Case("GINE(width=16, layers=4)", "LaplacianPE(k=8)", "SPE(taper=0.1)"),
    Case("GINE(width=16, layers=4)", "LaplacianPE(k=8)", "SignNet(phi='mlp')"),
    Case("GINE(width=16, layers=4)", "PEARLEncoding(samples=4)"),
    Case("GatedGCN(width=16, layers=4)"),
    Case("GatedGCN(width=16, layers=4)", _WALKS),
    Case("GraphTransformer(width=16, layers=4, heads=4)"),
    Case("GraphTransformer(width=16, layers=4, heads=4)", _WALKS),
    Case("GPS(width=16, layers=4, heads=4)"),
    Case("GPS(width=16, layers=4, heads=4)", _WALKS),
    Case("SAT(width=16, layers=4, heads=4)"),
    Case("SAT(width=16, layers=4, heads=4)", _WALKS),
    Case("NeuralWalker(width=16, layers=2, heads=4, walk_length=16)"),
    Case("Specformer(width=16, layers=4, heads=4)", "LaplacianPE(k=96, drop_zero_modes=False)"),
    Case("Graphormer(width=16, layers=4, heads=4)"),
    Case("Graphormer(width=16, layers=4, heads=4)", _HOPS),
    Case("GRIT(width=16, layers=4, heads=4)"),
    Case("GRIT(width=16, layers=4, heads=4)", _PAIR_WALKS),
    Case("PPGT(width=16, layers=2, heads=4, stem_layers=1)"),
    Case("PPGT(width=16, layers=2, heads=4, stem_layers=1)", _PAIR_WALKS),
    Case("RelationalTransformer(width=16, layers=4, heads=4)"),
    Case("RelationalTransformer(width=16, layers=4, heads=4)", _PAIR_WALKS),
    Case("EdgeTransformer(width=8, layers=4, heads=2)"),
    Case("EdgeTransformer(width=8, layers=4, heads=2)", _PAIR_WALKS),
)
"""Models with random weights that `--models default` compares."""

USUAL_ENCODINGS = ("none", _WALKS)
"""Encodings of models that are named without any."""
