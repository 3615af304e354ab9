"""What an embedder is; and one made of a function of the caller's own."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Literal, Protocol

import anyio.to_thread

from storage.errors import EmbeddingFailed, InvalidValue
from storage.model import values

#: What a text is: models embed what is asked otherwise than what is to be found.
Kind = Literal["query", "passage"]

#: Most dimensions that an index of pgvector takes.
MOST_DIMENSIONS: Final = 2_000

Vector = Sequence[float]


class Embedder(Protocol):
    """Makes vectors of texts.

    Attributes:
        dimensions: Of every vector.
    """

    @property
    def dimensions(self) -> int: ...

    async def embed(self, texts: Sequence[str], *, kind: Kind) -> list[Vector]:
        """A vector for each text, in their order.

        Raises:
            EmbeddingFailed: it cannot be done now, or what came back is not that.
        """


class CallableEmbedder:
    """An embedder made of a function.

    Args:
        function: Takes a list of texts, and `kind` if it has such an argument; returns vectors. One
            that is not async runs in a thread.
    """

    def __init__(
        self,
        function: Callable[..., Sequence[Vector] | Awaitable[Sequence[Vector]]],
        dimensions: int,
    ) -> None:
        self.dimensions: Final = values.whole("dimensions", dimensions, 1, MOST_DIMENSIONS)
        self._function = function
        self._takes_kind = "kind" in inspect.signature(function).parameters

    async def embed(self, texts: Sequence[str], *, kind: Kind) -> list[Vector]:
        """See `Embedder.embed`; what the function raises is raised."""
        if not texts:
            return []
        more = {"kind": kind} if self._takes_kind else {}
        found: Any = await self._called(list(texts), more)
        return checked_vectors(found, len(texts), self.dimensions, "the function")

    async def _called(self, texts: list[str], more: dict[str, Any]) -> Any:
        if inspect.iscoroutinefunction(self._function):
            return await self._function(texts, **more)
        found = await anyio.to_thread.run_sync(lambda: self._function(texts, **more))
        return await found if inspect.isawaitable(found) else found


def checked_vectors(found: Any, count: int, dimensions: int, whose: str) -> list[Vector]:
    """Vectors that came from elsewhere, checked.

    Raises:
        EmbeddingFailed: they are not `count` vectors of `dimensions` finite numbers.
    """
    try:
        vectors: list[Vector] = [list(vector) for vector in found]
    except TypeError:
        raise EmbeddingFailed(f"{whose} returned a {type(found).__name__}, not vectors") from None
    if len(vectors) != count:
        raise EmbeddingFailed(f"{whose} returned {len(vectors)} vectors for {count} texts")
    for vector in vectors:
        try:
            values.pack_vector("embedding", vector, dimensions)
        except InvalidValue as error:
            raise EmbeddingFailed(f"{whose} returned a vector that is none: {error}") from None
    return vectors


def fitting(embedder: Embedder | None, dimensions: int) -> Embedder | None:
    """The embedder, if the storage can keep what it makes.

    Raises:
        InvalidValue: its vectors have other dimensions.
    """
    if embedder is not None and embedder.dimensions != dimensions:
        raise InvalidValue(
            "embedder",
            f"makes vectors of {embedder.dimensions} dimensions, and this storage keeps "
            f"{dimensions}: use the model it was set up for, or set `dimensions`",
        )
    return embedder
