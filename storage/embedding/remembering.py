"""An embedder that does not make a vector again that it has just made."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from .embedder import Embedder, Kind, Vector

#: Passages that are remembered: some 10 MB.
REMEMBERED: Final = 1_000


class RememberingEmbedder:
    """Remembers the vectors of the passages that it embedded last.

    The lines around one turn of a conversation are those that were turns before.

    Args:
        embedder: Makes the vectors.
        most: Passages that are remembered.
    """

    def __init__(self, embedder: Embedder, most: int = REMEMBERED) -> None:
        self._embedder = embedder
        self._most = most
        self._made: OrderedDict[str, Vector] = OrderedDict()

    @property
    def dimensions(self) -> int:
        return self._embedder.dimensions

    async def embed(self, texts: Sequence[str], *, kind: Kind) -> list[Vector]:
        """See `Embedder.embed`."""
        if kind == "query":
            return await self._embedder.embed(texts, kind=kind)
        found = {text: self._made[text] for text in texts if text in self._made}
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        if missing:
            made = await self._embedder.embed(missing, kind=kind)
            found |= zip(missing, made, strict=True)
        for text in texts:
            self._made[text] = found[text]
            self._made.move_to_end(text)
        while len(self._made) > self._most:
            self._made.popitem(last=False)
        return [found[text] for text in texts]
