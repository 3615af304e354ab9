"""Any endpoint that speaks OpenAI's form of `/v1/embeddings`: Ollama, vLLM, llama.cpp, OpenAI.

By httpx (extra `endpoint`): a request can be cancelled at once and has a limit as a whole, and
connections are kept. `urllib` in a thread could do neither, and would hold its thread meanwhile.
"""

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

import anyio
import msgspec

from storage.errors import EmbeddingFailed
from storage.model import values

from .embedder import MOST_DIMENSIONS, Kind, Vector, checked_vectors

if TYPE_CHECKING:
    import httpx

#: Seconds for one request, texts of one request, and how often one is tried.
TIMEOUT: Final = 30.0
AT_ONCE: Final = 32
ATTEMPTS: Final = 4

#: Seconds before the first repetition, doubled each time; and the longest that is waited.
FIRST_DELAY: Final = 0.5
MOST_DELAY: Final = 20.0

#: What passes by itself: to be tried again.
_PASSING: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})

_REMEDIES: Final = {
    400: "is the model one that embeds, and are the texts within its length?",
    401: "check the key (ARGENTBUS_EMBEDDING_KEY, or the file in storage.embedding.keyFile)",
    403: "check the key (ARGENTBUS_EMBEDDING_KEY, or the file in storage.embedding.keyFile)",
    404: "check the URL (it ends in /v1, mostly) and the model: Ollama has to have it pulled",
    413: "give a smaller size when documents are brought in",
}

#: By how a model's name begins: what it wants before a query, and before a passage. From the cards
#: of nomic-embed-text-v1.5, multilingual-e5 and mxbai-embed-large-v1.
PREFIXES: Final[Mapping[str, tuple[str, str]]] = {
    "nomic-embed-text": ("search_query: ", "search_document: "),
    "multilingual-e5": ("query: ", "passage: "),
    "e5-": ("query: ", "passage: "),
    "mxbai-embed-large": ("Represent this sentence for searching relevant passages: ", ""),
}


class _One(msgspec.Struct):
    embedding: list[float]
    index: int


class _Answer(msgspec.Struct):
    data: list[_One]


class _Passing(Exception):
    """A failure that may pass: why, and after how many seconds it is said to."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


class EndpointEmbedder:
    """An embedder behind HTTP.

    Args:
        url: Where it is, mostly ending in `/v1`; `/embeddings` is put behind it.
        model: Its name there.
        dimensions: Of its vectors; other ones are refused.
        key: Sent as a bearer token. In no message.
        prefixes: What is put before a query, and before a passage; by the model's name where it is
            not given (`PREFIXES`).
        timeout: Seconds for one request.
        attempts: How often one is tried, where the failure may pass.
    """

    def __init__(
        self,
        url: str,
        model: str,
        dimensions: int,
        *,
        key: str | None = None,
        prefixes: tuple[str, str] | None = None,
        timeout: float = TIMEOUT,
        attempts: int = ATTEMPTS,
        first_delay: float = FIRST_DELAY,
    ) -> None:
        self.dimensions: Final = values.whole("dimensions", dimensions, 1, MOST_DIMENSIONS)
        self._url = f"{url.rstrip('/')}/embeddings"
        self._model = model
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._prefixes = prefixes if prefixes is not None else prefixes_of(model)
        self._timeout = timeout
        self._attempts = attempts
        self._first_delay = first_delay
        self._client: httpx.AsyncClient | None = None

    def __repr__(self) -> str:
        return f"EndpointEmbedder({self._shown!r}, {self._model!r}, {self.dimensions})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def embed(self, texts: Sequence[str], *, kind: Kind) -> list[Vector]:
        """See `Embedder.embed`; many texts go in several requests.

        Raises:
            EmbeddingFailed: the endpoint cannot be reached, refuses, or answers with something
                else; what may pass (no connection, time out, 429, 5xx) was tried several times.
        """
        prefix = self._prefixes[0 if kind == "query" else 1]
        prefixed = [prefix + values.text("text", text) for text in texts]
        found: list[Vector] = []
        for first in range(0, len(prefixed), AT_ONCE):
            found += await self._untiring(prefixed[first : first + AT_ONCE])
        return found

    async def _untiring(self, texts: list[str]) -> list[Vector]:
        delay = self._first_delay
        for left in range(self._attempts - 1, -1, -1):
            try:
                return await self._once(texts)
            except _Passing as failure:
                if not left:
                    raise EmbeddingFailed(
                        f"the embedder at {self._shown} failed {self._attempts} times, the last "
                        f"time: {failure}"
                    ) from failure.__cause__
                # Many that were refused at once should not all come back at once.
                wait = max(failure.after, delay * (0.5 + random.random()))  # noqa: S311
                await anyio.sleep(min(wait, MOST_DELAY))
                delay *= 2
        raise AssertionError("unreachable")

    async def _once(self, texts: list[str]) -> list[Vector]:
        httpx = _httpx()
        if self._client is None:
            self._client = httpx.AsyncClient(headers=self._headers, timeout=self._timeout)
        body = {"model": self._model, "input": texts, "encoding_format": "float"}
        try:
            with anyio.fail_after(self._timeout):
                async with self._client.stream("POST", self._url, json=body) as response:
                    content = await self._content(response, len(texts))
        except (TimeoutError, httpx.TimeoutException) as error:
            raise _Passing(f"it did not answer within {self._timeout:g} s") from error
        except (httpx.TransportError, httpx.DecodingError, httpx.InvalidURL) as error:
            raise _Passing(f"{error or type(error).__name__}: is it running there?") from error
        if response.status_code in _PASSING:
            raise _Passing(_said(response.status_code, content), _after(response.headers))
        if response.status_code != 200:
            remedy = _REMEDIES.get(response.status_code, "is it an embeddings endpoint?")
            raise EmbeddingFailed(
                f"the embedder at {self._shown} refuses: "
                f"{_said(response.status_code, content)}: {remedy}"
            )
        return self._vectors(content, len(texts))

    async def _content(self, response: "httpx.Response", count: int) -> bytes:
        """The body of an answer, and not more than vectors can be."""
        most = 100_000 + count * self.dimensions * 40
        content = bytearray()
        async for part in response.aiter_bytes():
            content += part
            if len(content) > most:
                raise EmbeddingFailed(
                    f"the embedder at {self._shown} answers with more than {most:,} bytes for "
                    f"{count} vectors of {self.dimensions} dimensions: is it the right model?"
                )
        return bytes(content)

    def _vectors(self, content: bytes, count: int) -> list[Vector]:
        whose = f"the embedder at {self._shown}"
        try:
            answer = msgspec.json.decode(content, type=_Answer)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise EmbeddingFailed(
                f"{whose} answered with something else than embeddings ({error}): {_begin(content)}"
            ) from None
        by_index = {one.index: one.embedding for one in answer.data}
        if sorted(by_index) != list(range(count)) or len(answer.data) != count:
            raise EmbeddingFailed(
                f"{whose} answered with {len(answer.data)} vectors, not with one for each of "
                f"{count} texts"
            )
        ordered = [by_index[index] for index in range(count)]
        return checked_vectors(ordered, count, self.dimensions, whose)

    @property
    def _shown(self) -> str:
        """Where it is, without a password."""
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def prefixes_of(model: str) -> tuple[str, str]:
    """What a model wants before a query, and before a passage, by its name."""
    name = model.rpartition("/")[2].lower()
    return next((pair for begin, pair in PREFIXES.items() if name.startswith(begin)), ("", ""))


def _httpx() -> Any:
    try:
        import httpx
    except ModuleNotFoundError:
        raise EmbeddingFailed(
            "an embedder behind HTTP needs the package httpx: install it with `pip install "
            "'argentbus[endpoint]'`"
        ) from None
    return httpx


def _said(status: int, content: bytes) -> str:
    return f"status {status}, {_begin(content)}" if content.strip() else f"status {status}"


def _begin(content: bytes) -> str:
    """How an answer begins, for people to read."""
    return ascii(content[:200].decode(errors="replace").strip())


def _after(headers: Mapping[str, str]) -> float:
    """Seconds after which to come back, where the answer says so."""
    try:
        return max(0.0, min(float(headers.get("retry-after", "")), MOST_DELAY))
    except ValueError:
        return 0.0
