"""Encoders of structural encodings: from an encoding's values in a batch to vectors of a model's width."""

from graphpe.models.encoders.eigenvectors import EigenvectorEncoding
from graphpe.models.encoders.embedding import EmbeddingEncoding
from graphpe.models.encoders.node_encoding import LinearEncoding

__all__ = ["EigenvectorEncoding", "EmbeddingEncoding", "LinearEncoding"]
