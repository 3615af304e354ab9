"""The page's server without a network: names, headers, files, and what text becomes."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from bus import AgentState, Bus, Presence
from presence import AgentView
from presence.text import clean
from presence.web import Board, create_app
from presence.web.app import STATIC
from presence.web.database import databases, partitions
from presence.web.guard import host_name

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(bus: Bus) -> AsyncIterator[httpx.AsyncClient]:
    async with Board.open(bus) as board:
        app = create_app(board, allow_hosts=["bus.example"])
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8377"
        ) as client:
            yield client


async def test_the_page_and_all_it_loads_are_its_own(client: httpx.AsyncClient) -> None:
    page = await client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) >= 4
    todo, seen = list(loaded), set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        found = await client.get(f"/{name}")
        assert found.status_code == 200, name
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", found.text), name
        todo += [f"static/{module}" for module in re.findall(r'from "\./([^"]+)"', found.text)]
    assert "static/dom.js" in seen


async def test_the_policy_forbids_what_is_not_ours(client: httpx.AsyncClient) -> None:
    for path in ("/", "/static/page.js", "/healthz", "/nowhere"):
        headers = (await client.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


async def test_no_script_writes_markup() -> None:
    for script in Path(STATIC).glob("*.js"):
        text = script.read_text()
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text
        ), script.name


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8377", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:8377", 200),
        ("bus.example:8377", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:8377", 421),
        ("localhost.evil.example", 421),
        ("evil.example:127.0.0.1", 421),
        ("", 421),
    ],
)
async def test_only_our_own_names_are_answered(
    client: httpx.AsyncClient, host: str, status: int
) -> None:
    for path in ("/", "/healthz", "/static/page.js"):
        answer = await client.get(path, headers={"host": host})
        assert answer.status_code == status
    if status == 421:
        assert (await client.get("/events", headers={"host": host})).status_code == 421


async def test_it_is_only_to_be_read(client: httpx.AsyncClient) -> None:
    assert (await client.post("/")).status_code == 405
    assert (await client.delete("/events")).status_code == 405
    head = await client.head("/events")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"].startswith("text/event-stream")
    assert (await client.get("/static/../app.py")).status_code == 404
    assert (await client.get("/static/%2e%2e/app.py")).status_code == 404


async def test_health(client: httpx.AsyncClient) -> None:
    answer = await client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"redis": "up", "viewers": 0})


@pytest.mark.parametrize(
    ("header", "name"),
    [("A.b:80", "a.b"), ("[::1]:80", "::1"), ("[::1]", "::1"), ("::1", "::1"), ("x", "x")],
)
async def test_host_name(header: str, name: str) -> None:
    assert host_name(header) == name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines\tand\rmore", "two lines and more"),
        ("\x00\x1b[31m\u202e\u2028", "��[31m��"),
        ("naïve 日本語 👩‍🚀", "naïve 日本語 👩‍🚀"),
        ("<b>&amp;", "<b>&amp;"),
    ],
)
async def test_characters_that_act_are_replaced(text: str, shown: str) -> None:
    assert clean(text, 100) == shown


async def test_long_text_is_cut_and_says_so() -> None:
    assert clean("abcdefghijk", 10) == "abcdefghi…"
    assert clean("abcdefghij", 10) == "abcdefghij"


def sidecar(agent: str, at: float, **fields: str) -> AgentView:
    return AgentView(
        Presence(instance=agent, agent=agent, role="sidecar"),
        AgentState(last_activity=at, fields=fields),
    )


async def test_counts_are_the_newest_of_a_backend_and_sums_over_its_sidecars() -> None:
    rows = databases(
        [
            sidecar("a", 1, backend="sqlite", memory_items="5", committed="3", partitions="0,2"),
            sidecar("b", 2, backend="sqlite", memory_items="9", committed="4", partitions="1"),
            sidecar("c", 3),
            AgentView(Presence(instance="d", agent="d"), AgentState(fields={"backend": "x"})),
        ]
    )
    (row,) = rows
    assert (row.memory_items, row.tasks, row.committed) == (9, None, 7)
    assert (row.partitions, row.sidecars) == ("0, 1, 2", ["a", "b"])
    assert partitions(rows) == [0, 1, 2]


async def test_counts_that_are_not_counts_are_left_out() -> None:
    (row,) = databases(
        [
            sidecar(
                "a",
                1,
                backend="<b>",
                memory_items="many",
                tasks="-1",
                lag="9" * 400,
                partitions="x,1;DROP,99999",
                error="no space\nleft",
            )
        ]
    )
    assert (row.memory_items, row.tasks, row.lag) == (None, None, None)
    assert (row.backend, row.partitions, row.error) == ("<b>", "1", "no space left")
