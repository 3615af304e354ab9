"""The stream behind the page: what it tells, to whom, and what it survives."""

import json
import signal
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import msgspec
import pytest

from bus import DASHBOARD, Bus, DashboardEvent
from presence.web import Board, create_app
from presence.web.events import EventStream
from tests.waiting import eventually

from .conftest import AgentProcess
from .page import Page

pytestmark = pytest.mark.anyio


class Job(msgspec.Struct):
    name: str


@pytest.fixture
async def board(bus: Bus) -> AsyncIterator[Board]:
    async with Board.open(bus) as board:
        yield board


async def test_a_snapshot_first_and_then_what_changes(bus: Bus, board: Board) -> None:
    async with (
        bus.join("scout", role="researcher") as scout,
        Page().open(create_app(board)) as page,
    ):
        await eventually(lambda: any(row["id"] == "scout" for row in page.all("agents")))
        assert page.messages[0][0] == "snapshot"
        assert page.messages[0][1]["namespace"] == bus.namespace
        assert {kind for kind, _ in page.messages[1:]} <= {"update"}
        await scout.set_state(status="processing", activity="indexing", files=3)
        await eventually(lambda: page.all("agents")[-1]["activity"] == "indexing")
        row = page.all("agents")[-1]
        assert (row["role"], row["status"], row["fields"]) == (
            "researcher",
            "processing",
            {"files": "3"},
        )
        await eventually(lambda: "scout" in (page.last("metrics") or {}).get("beats", {}))
        assert page.last("metrics")["beats"]["scout"] < 1.0


async def test_a_killed_agent_is_shown_as_expired_and_one_that_left_as_left(
    bus: Bus, board: Board, agent_process: Callable[..., AgentProcess]
) -> None:
    async with Page().open(create_app(board)) as page:
        process = agent_process("victim", ttl=1.0)
        async with bus.join("polite"):
            await eventually(lambda: {r["id"] for r in page.all("agents")} == {"victim", "polite"})
        process.kill()
        killed = time.monotonic()
        await eventually(lambda: "victim" in page.all("left"))
        assert time.monotonic() - killed < 2.0
        went = {row["id"]: row["how"] for row in page.all("gone")}
        assert went == {"victim": "expired", "polite": "left"}
        kinds = {(event["kind"], event["agent"]) for event in page.all("events")}
        assert {("expired", "victim"), ("left", "polite"), ("joined", "victim")} <= kinds
    async with Page().open(create_app(board)) as late:
        await eventually(lambda: bool(late.messages))
        assert {row["id"] for row in late.messages[0][1]["gone"]} == {"victim", "polite"}


async def test_queues_log_and_counts_in_the_database(bus: Bus, board: Board) -> None:
    queue = bus.queue("reviews", Job)
    await queue.put(Job("a"))
    await queue.put(Job("b"), delay=60)
    await bus.log("storage:3").append(Job("c"))
    async with (
        bus.join("sidecar-00c0ffee", role="sidecar") as sidecar,
        Page().open(create_app(board)) as page,
    ):
        await sidecar.set_state(
            backend="sqlite", memory_items=12, tasks=3, committed=20, lag=1, partitions="3"
        )

        def metrics() -> Any:
            return page.last("metrics") or {"queues": [], "databases": [], "logs": []}

        await eventually(lambda: len(metrics()["logs"]) == 1)
        (figures,) = metrics()["queues"]
        assert (figures["name"], figures["unread"], figures["delayed"]) == ("reviews", 1, 1)
        assert metrics()["logs"] == [{"name": "storage:3", "length": 1}]
        (row,) = metrics()["databases"]
        assert (row["backend"], row["memory_items"], row["tasks"]) == ("sqlite", 12, 3)
        await sidecar.set_state(status="processing")
        async with bus.join("scout") as scout:
            await scout.set_state(status="contemplating")
            await eventually(lambda: metrics()["present"] == 2 and metrics()["working"] == 1)
            assert metrics()["services"] == 1
    async with Page().open(create_app(board)) as page:
        await eventually(lambda: metrics()["databases"] and metrics()["databases"][0]["gone"])
        assert metrics()["databases"][0]["memory_items"] == 12


async def test_nothing_is_sampled_while_nobody_looks(bus: Bus, board: Board) -> None:
    async with Page().open(create_app(board)) as first, Page().open(create_app(board)) as second:
        await eventually(lambda: board.sampler.taken >= 2)
        assert board.sampler.viewers == 2
        # One sample serves both pages.
        await eventually(lambda: first.last("metrics") == second.last("metrics") is not None)
    await eventually(lambda: board.sampler.viewers == 0)
    taken = board.sampler.taken
    # A sampler that went on would take two in this time; there is no condition to wait for.
    with anyio.move_on_after(2.2):
        await eventually(lambda: board.sampler.taken > taken + 1, timeout=5)
        pytest.fail("sampled for nobody")


async def test_announced_events_are_shown_and_hostile_ones_change_nothing(
    bus: Bus, board: Board
) -> None:
    topic = bus.topic(DASHBOARD, DashboardEvent)
    channel = bus.keys.topic(DASHBOARD)
    async with Page().open(create_app(board)) as page:
        await eventually(lambda: bool(page.messages))
        for junk in (b"", b"\xff\x00\xfe", b"\x91" * 5000, b'{"kind": 1}', b"\x93\x01\x02\x03"):
            await bus.publish(channel, junk)
        script = "<img src=x onerror=alert(1)>\u202e\x1b[31m"
        await topic.publish(DashboardEvent(script, script, "x" * 100_000, float("inf")))
        await topic.publish(DashboardEvent("memory_stored", "scout", "3 items", time.time()))
        await eventually(lambda: len(page.all("events")) >= 2)
        hostile, fine = page.all("events")[-2:]
        assert hostile["kind"].startswith("<img src=x")
        assert "\u202e" not in hostile["agent"]
        assert "\x1b" not in hostile["agent"]
        assert len(hostile["detail"]) == 300
        assert abs(hostile["at"] - time.time()) < 60
        assert (fine["kind"], fine["agent"], fine["detail"]) == (
            "memory_stored",
            "scout",
            "3 items",
        )


async def test_garbled_keys_do_not_break_it(bus: Bus, board: Board) -> None:
    junk = b"\xff\x00<script>"
    call, keys = bus.link.call, bus.keys
    await call("SADD", keys.queues, junk, "plain text", "list", "\u202egnp.q")
    await call("SET", keys.queue("list"), junk)
    await call("ZADD", keys.presence_index, "1", junk)
    await call("XADD", keys.presence_events, "*", junk, junk)
    async with bus.join("scout") as scout, Page().open(create_app(board)) as page:
        await call("HSET", keys.state("scout"), "valence", "nan", "+x", junk, junk, junk)
        await scout.set_state(activity="\u202egnp.exe\n<b>", memory_items="9" * 5000)
        await eventually(lambda: len((page.last("metrics") or {}).get("queues", [])) == 4)
        assert all(queue["error"] for queue in page.last("metrics")["queues"])
        assert "\u202e" not in json.dumps(page.last("metrics"), ensure_ascii=False)
        await eventually(lambda: page.all("agents")[-1]["activity"] is not None)
        assert page.all("agents")[-1]["activity"] == "\N{REPLACEMENT CHARACTER}gnp.exe <b>"
        assert page.last("redis")["up"] is True


async def test_a_page_that_does_not_read_is_dropped(bus: Bus, board: Board) -> None:
    app = create_app(board, stream=EventStream(board, patience=0.2))
    async with Page().open(app) as page:
        await eventually(lambda: bool(page.messages))
        page.hung = True
        await eventually(lambda: page.ended)
    assert board.sampler.viewers == 0


async def test_what_waits_for_a_slow_page_is_bounded(bus: Bus, board: Board) -> None:
    with board.viewer() as viewer:
        topic = bus.topic(DASHBOARD, DashboardEvent)
        async with bus.join("scout") as scout:
            for number in range(500):
                await scout.set_state(status="processing", activity=f"step {number}")
                await topic.publish(DashboardEvent("alert", "scout", str(number), time.time()))
        seen = board.snapshot
        await eventually(lambda: any(row.id == "scout" for row in seen().gone))
        update = viewer.take(time.time())
    assert len(update.events) == 100
    assert (update.agents, update.left) == ([], ["scout"])


async def test_silence_is_filled_with_heartbeats(bus: Bus, board: Board) -> None:
    app = create_app(board, stream=EventStream(board, heartbeat=0.05))
    async with Page().open(app) as page:
        await eventually(lambda: page.comments >= 2)


async def test_open_pages_end_when_the_server_stops(bus: Bus, board: Board) -> None:
    stream = EventStream(board)
    async with Page().open(create_app(board, stream=stream)) as page:
        await eventually(lambda: bool(page.messages))
        stream.close()
        await eventually(lambda: page.ended)


async def test_one_page_too_many_is_refused(
    bus: Bus, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("presence.web.board.MOST_VIEWERS", 1)
    async with Page().open(create_app(board)) as first:
        await eventually(lambda: bool(first.messages))
        async with Page().open(create_app(board)) as second:
            await eventually(lambda: second.ended)
            assert second.status == 503


async def test_who_was_suspended_and_comes_back_is_not_shown_as_gone(
    bus: Bus, board: Board, agent_process: Callable[..., AgentProcess]
) -> None:
    async with Page().open(create_app(board)) as page:
        sleeper = agent_process("sleeper", ttl=1.0)
        sleeper.signal(signal.SIGSTOP)
        await eventually(lambda: [row["how"] for row in page.all("gone")] == ["expired"])
        sleeper.signal(signal.SIGCONT)
        await eventually(lambda: page.all("forgotten") == [page.all("gone")[0]["key"]])
        await eventually(lambda: page.all("agents")[-1]["id"] == "sleeper")


async def test_it_says_when_redis_is_away_and_goes_on_when_it_is_back(
    own_redis: Any, namespace: str
) -> None:
    async with (
        Bus.connect(own_redis.url, namespace=namespace, ttl=20.0) as bus,
        Board.open(bus) as board,
        Page().open(create_app(board)) as page,
        bus.join("scout", ttl=20.0),
    ):
        await eventually(lambda: "scout" in (page.last("metrics") or {}).get("beats", {}))
        await anyio.to_thread.run_sync(own_redis.kill)
        await eventually(lambda: not page.last("redis")["up"])
        assert "cannot reach Redis" in page.last("redis")["detail"]
        assert not await board.answers()
        await anyio.to_thread.run_sync(own_redis.start)
        await eventually(lambda: page.last("redis")["up"], timeout=20)
        assert await board.answers()
        async with bus.join("writer", ttl=20.0):
            await eventually(lambda: any(r["id"] == "writer" for r in page.all("agents")))
        assert "scout" not in {row["id"] for row in page.all("gone")}


async def test_it_says_when_redis_hangs_and_goes_on_when_it_answers(
    own_redis: Any, namespace: str
) -> None:
    async with (
        Bus.connect(own_redis.url, namespace=namespace, ttl=30.0) as bus,
        Board.open(bus) as board,
        Page().open(create_app(board)) as page,
    ):
        await eventually(lambda: bool(page.messages))
        own_redis.freeze()
        try:
            await eventually(lambda: not page.last("redis")["up"])
            assert "no answer" in page.last("redis")["detail"]
            assert not await board.answers()
        finally:
            own_redis.thaw()
        await eventually(lambda: page.last("redis")["up"], timeout=20)


async def test_stalled_agents_and_instances_are_shown(bus: Bus, board: Board) -> None:
    async with (
        bus.join("scout", stall_after=0.4, capabilities=["sql"]) as scout,
        bus.join("writer", shared=True),
        bus.join("writer", shared=True),
        Page().open(create_app(board)) as page,
    ):
        await eventually(lambda: len({row["id"] for row in page.all("agents")}) == 3)
        writers = [row for row in page.all("agents") if row["name"] == "writer"]
        assert all(row["shared"] and row["instance"] in row["id"] for row in writers)

        def now() -> Any:
            return [row for row in page.all("agents") if row["id"] == "scout"][-1]

        await eventually(lambda: now()["stalled_since"] is not None)
        assert now()["capabilities"] == ["sql"]
        await eventually(lambda: (page.last("metrics") or {}).get("stalled") == 1)
        await scout.progress("page 3")
        await eventually(lambda: now()["stalled_since"] is None and now()["progress"] == "page 3")
        await eventually(lambda: page.last("metrics")["stalled"] == 0)
        lines = {event["kind"]: event["detail"] for event in page.all("events")}
        assert "no progress for 0.4 s" in lines["stalled"]
        assert "page 3" in lines["resumed"]


async def test_an_agent_with_an_id_that_is_cleaned_goes_as_it_came(bus: Bus, board: Board) -> None:
    async with bus.join("scout") as scout, Page().open(create_app(board)) as page:
        record = msgspec.structs.replace(scout.presence, agent="gh\x07ost\u202e", instance="i")

        def came() -> list[str]:
            return [row["id"] for row in page.all("agents") if row["id"].startswith("gh")]

        for kind, seen in (("joined", came), ("left", lambda: page.all("left"))):
            pairs = ("kind", kind, "agent", record.agent, "presence", msgspec.json.encode(record))
            await bus.link.call("XADD", bus.keys.presence_events, "*", *pairs)
            await eventually(lambda seen=seen: bool(seen()))
        assert page.all("left") == came()


@pytest.mark.parametrize("last", [str(2**64), "-1", "9" * 5000, "garbage", "1-0\x00"])
async def test_a_browser_that_resumes_gets_a_fresh_snapshot_whatever_it_names(
    bus: Bus, board: Board, last: str
) -> None:
    async with bus.join("scout"):
        page = Page()
        async with page.open(create_app(board), headers={"last-event-id": last}):
            await eventually(lambda: bool(page.messages))
        kind, snapshot = page.messages[0]
        assert kind == "snapshot"
        assert [row["id"] for row in snapshot["agents"]] == ["scout"]
