"""Encoders of structural encodings: from an encoding's values in a batch to vectors of a model's width."""

from graphpe.models.encoders.eigen.basis_net import BasisNet
from graphpe.models.encoders.eigen.eigenvector_deep_set import EigenvectorDeepSet
from graphpe.models.encoders.eigen.eigenvector_mlp import EigenvectorMLP
from graphpe.models.encoders.eigen.eigenvector_transformer import EigenvectorTransformer
from graphpe.models.encoders.eigen.eigenvectors import EigenvectorEncoding
from graphpe.models.encoders.eigen.mag_lap_net import MagLapNet
from graphpe.models.encoders.eigen.sign_net import SignNet
from graphpe.models.encoders.eigen.spe import SPE
from graphpe.models.encoders.embedding import EmbeddingEncoding
from graphpe.models.encoders.fourier_features import FourierFeatures
from graphpe.models.encoders.learned.conditional import ConditionalEncoding
from graphpe.models.encoders.learned.identifiers import RandomIdentifiers
from graphpe.models.encoders.learned.learned_encoding import LearnedEncoding
from graphpe.models.encoders.learned.pearl import PEARLEncoding
from graphpe.models.encoders.mlp_encoding import MLPEncoding
from graphpe.models.encoders.node_encoding import LinearEncoding
from graphpe.models.encoders.pair_encoding import PairEmbedding, PairLinear, PairMLP
from graphpe.models.encoders.persistence import PersistenceEncoding
from graphpe.models.encoders.tree_path import TreePathEncoding

__all__ = [
    "SPE",
    "BasisNet",
    "ConditionalEncoding",
    "EigenvectorDeepSet",
    "EigenvectorEncoding",
    "EigenvectorMLP",
    "EigenvectorTransformer",
    "EmbeddingEncoding",
    "FourierFeatures",
    "LearnedEncoding",
    "LinearEncoding",
    "MLPEncoding",
    "MagLapNet",
    "PEARLEncoding",
    "PairEmbedding",
    "PairLinear",
    "PairMLP",
    "PersistenceEncoding",
    "RandomIdentifiers",
    "SignNet",
    "TreePathEncoding",
]
