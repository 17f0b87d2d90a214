"""Encoders of structural encodings: from an encoding's values in a batch to vectors of a model's width."""

from graphpe.models.encoders.basis_net import BasisNet
from graphpe.models.encoders.eigenvector_deep_set import EigenvectorDeepSet
from graphpe.models.encoders.eigenvector_mlp import EigenvectorMLP
from graphpe.models.encoders.eigenvector_transformer import EigenvectorTransformer
from graphpe.models.encoders.eigenvectors import EigenvectorEncoding
from graphpe.models.encoders.embedding import EmbeddingEncoding
from graphpe.models.encoders.mag_lap_net import MagLapNet
from graphpe.models.encoders.mlp_encoding import MLPEncoding
from graphpe.models.encoders.node_encoding import LinearEncoding
from graphpe.models.encoders.pair_encoding import PairEmbedding, PairLinear
from graphpe.models.encoders.sign_net import SignNet
from graphpe.models.encoders.spe import SPE

__all__ = [
    "SPE",
    "BasisNet",
    "EigenvectorDeepSet",
    "EigenvectorEncoding",
    "EigenvectorMLP",
    "EigenvectorTransformer",
    "EmbeddingEncoding",
    "LinearEncoding",
    "MLPEncoding",
    "MagLapNet",
    "PairEmbedding",
    "PairLinear",
    "SignNet",
]
