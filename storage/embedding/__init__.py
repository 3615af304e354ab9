"""Embedders: what makes vectors of texts, so that they are found by what they mean.

`SQLiteAdapter.open(..., embedder=...)` and `StorageClient(agent, embedder=...)` take one: what is
written without an embedding then gets one, and searches embed what is asked, on the caller's side.
`open_storage` takes the one of the settings. Without any, embeddings are given, or there are none.
"""

from .bundled import BundledEmbedder
from .embedder import CallableEmbedder, Embedder, Kind, fitting
from .endpoint import EndpointEmbedder

__all__ = [
    "BundledEmbedder",
    "CallableEmbedder",
    "Embedder",
    "EndpointEmbedder",
    "Kind",
    "fitting",
]
