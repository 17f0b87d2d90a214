"""Encoders of structural encodings: from an encoding's values in a batch to vectors of a model's width."""

from graphpe.models.encoders.eigenvectors import EigenvectorEncoding
from graphpe.models.encoders.embedding import EmbeddingEncoding
from graphpe.models.encoders.node_encoding import LinearEncoding
from graphpe.models.encoders.pair_encoding import PairEmbedding, PairLinear

__all__ = ["EigenvectorEncoding", "EmbeddingEncoding", "LinearEncoding", "PairEmbedding", "PairLinear"]
