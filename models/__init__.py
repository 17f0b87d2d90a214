"""Models over PyG batches: encoders of inputs and encodings, attention, architectures and heads.

An architecture is a public class whose constructor takes a `node_encoder`; its other keyword arguments, apart from
`edge_encoder`, `encodings` and `head`, are literals.
"""

from graphpe.models.encoders import (
    SPE,
    BasisNet,
    EigenvectorDeepSet,
    EigenvectorEncoding,
    EigenvectorMLP,
    EigenvectorTransformer,
    EmbeddingEncoding,
    LinearEncoding,
    MagLapNet,
    MLPEncoding,
    PairEmbedding,
    PairLinear,
    SignNet,
)
from graphpe.models.graph_transformer import GraphTransformer
from graphpe.models.heads import MLPReadout, SubtokenHead
from graphpe.models.inputs import ASTNodeEncoder, CategoricalEdges, CategoricalNodes, LinearEdges
from graphpe.models.relational_transformer import RelationalTransformer

__all__ = [
    "SPE",
    "ASTNodeEncoder",
    "BasisNet",
    "CategoricalEdges",
    "CategoricalNodes",
    "EigenvectorDeepSet",
    "EigenvectorEncoding",
    "EigenvectorMLP",
    "EigenvectorTransformer",
    "EmbeddingEncoding",
    "GraphTransformer",
    "LinearEdges",
    "LinearEncoding",
    "MLPEncoding",
    "MLPReadout",
    "MagLapNet",
    "PairEmbedding",
    "PairLinear",
    "RelationalTransformer",
    "SignNet",
    "SubtokenHead",
]
