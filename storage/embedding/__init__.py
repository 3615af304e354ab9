"""Embedders: what makes vectors of texts, so that they are found by what they mean."""

from .embedder import CallableEmbedder, Embedder, Kind, fitting

__all__ = ["CallableEmbedder", "Embedder", "Kind", "fitting"]
