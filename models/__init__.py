"""Models over PyG batches: encoders of inputs and encodings, attention, architectures and heads.

An architecture is a public class whose constructor takes a `node_encoder`; its other keyword arguments, apart from
`edge_encoder`, `encodings` and `head`, are literals.
"""

from graphpe.models.attention import PairBias, RotaryAttention
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
from graphpe.models.exphormer import Exphormer
from graphpe.models.gps import GPS
from graphpe.models.graph_transformer import GraphTransformer
from graphpe.models.graphormer import Graphormer
from graphpe.models.grit import GRIT
from graphpe.models.layers.heads import MLPReadout, SubtokenHead
from graphpe.models.layers.inputs import (
    ASTNodeEncoder,
    CategoricalEdges,
    CategoricalNodes,
    LinearEdges,
    LinearNodes,
    SinusoidalNodes,
)
from graphpe.models.message_passing import GCN, GINE, GatedGCN
from graphpe.models.relational_transformer import RelationalTransformer
from graphpe.models.sat import SAT
from graphpe.models.topological_transformer import TopologicalTransformer

__all__ = [
    "GCN",
    "GINE",
    "GPS",
    "GRIT",
    "SAT",
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
    "Exphormer",
    "GatedGCN",
    "GraphTransformer",
    "Graphormer",
    "LinearEdges",
    "LinearEncoding",
    "LinearNodes",
    "MLPEncoding",
    "MLPReadout",
    "MagLapNet",
    "PairBias",
    "PairEmbedding",
    "PairLinear",
    "RelationalTransformer",
    "RotaryAttention",
    "SignNet",
    "SinusoidalNodes",
    "SubtokenHead",
    "TopologicalTransformer",
]
