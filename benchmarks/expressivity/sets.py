"""The sets of graphs that `graphpe expressivity` reads, and the encodings that it compares."""

DATASETS = {
    "graph8c": "graph8c.g6",
    "sr25": "sr251256.g6",
    "EXP": "EXP.GRAPHSAT.txt.gz",
    "CEXP": "CEXP.GRAPHSAT.txt.gz",
}
"""Sets of graphs, and their files."""

DEFAULT_ENCODINGS = (
    "DegreePE()",
    "WeisfeilerLehmanPE(iterations=8, num_colours=1048576)",
    "RandomWalkPE(walk_length=16)",
    "HeatKernelPE(times=(0.5, 1.0, 2.0, 4.0))",
    "ElectrostaticPE()",
    "CyclePE(max_length=6)",
    "LaplacianPE(k=8)",
    "ShortestPathPE()",
    "ResistancePE()",
    "PersonalizedPageRankPE()",
    "RelativeRandomWalkPE(walk_length=8)",
    "SVDPE(k=8)",
)
