"""Logs: appended once, in order; read from any position; trimmed behind the reader."""

from typing import Any

import anyio
import msgspec
import pytest

from bus import Bus
from bus.messages.codec import decode_body

pytestmark = pytest.mark.anyio


class Line(msgspec.Struct):
    n: int


def number(entry: object) -> int:
    return decode_body(entry.envelope, Line).n  # type: ignore[attr-defined]


async def test_entries_come_back_in_order_from_any_position(bus: Bus) -> None:
    log = bus.log("storage:0")
    ids = [await log.append(Line(n), sender="scout") for n in range(5)]
    entries = await log.read(limit=3)
    assert [entry.id for entry in entries] == ids[:3]
    rest = await log.read(after=entries[-1].id)
    assert [number(entry) for entry in rest] == [3, 4]
    assert rest[0].envelope is not None
    assert rest[0].envelope.sender == "scout"
    assert await log.trim(through=ids[2], epoch=await log.epoch()) == 3
    assert [entry.id for entry in await log.read()] == ids[3:]
    assert (await log.length(), await log.last_id()) == (2, ids[-1])


async def test_a_blocking_read_returns_when_something_comes_or_time_is_up(bus: Bus) -> None:
    log = bus.log("storage:0")
    assert await log.read(block=0.05) == []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(log.append, Line(1))
        with anyio.fail_after(5):
            [entry] = await log.read(block=30)
    assert number(entry) == 1


async def test_a_cancelled_read_leaves_the_log_readable(bus: Bus) -> None:
    log = bus.log("storage:0")
    with anyio.move_on_after(0.1):
        await log.read(block=30)
    await log.append(Line(1))
    with anyio.fail_after(5):
        assert len(await log.read(block=30)) == 1


async def test_concurrent_appends_of_one_process_keep_their_order(bus: Bus) -> None:
    log = bus.log("storage:0")
    ids: dict[int, str] = {}

    async def append(n: int) -> None:
        ids[n] = await log.append(Line(n))

    async with anyio.create_task_group() as tasks:
        for n in range(2000):
            tasks.start_soon(append, n)
    entries = await log.read(limit=5000)
    assert {number(entry): entry.id for entry in entries} == ids
    assert len(entries) == 2000


async def test_each_append_is_there_once_although_connections_break(bus: Bus) -> None:
    log = bus.log("storage:0")
    done = anyio.Event()

    async def break_connections() -> None:
        while not done.is_set():
            await bus.link.retrying(lambda: bus.link.call("CLIENT", "KILL", "TYPE", "NORMAL"))
            await anyio.sleep(0.005)  # how often the fault strikes

    async def append(start: int) -> None:
        for n in range(start, start + 200):
            await log.append(Line(n))

    async with anyio.create_task_group() as faults:
        faults.start_soon(break_connections)
        async with anyio.create_task_group() as tasks:
            for start in range(0, 1000, 200):
                tasks.start_soon(append, start)
        done.set()
    numbers = [number(entry) for entry in await log.read(limit=5000)]
    assert sorted(numbers) == list(range(1000))
    for start in range(0, 1000, 200):
        mine = [n for n in numbers if start <= n < start + 200]
        assert mine == sorted(mine)


async def test_garbled_entries_are_returned_as_such_and_rejected_once(bus: Bus) -> None:
    log = bus.log("storage:0")
    await bus.link.call("XADD", log.key, "*", "e", b"\xff garbage")
    await bus.link.call("XADD", log.key, "*", "other", "field")
    await log.append(Line(1))
    bad, worse, good = await log.read()
    assert bad.envelope is None
    assert "not an envelope" in (bad.error or "")
    assert "no field" in (worse.error or "")
    assert number(good) == 1
    for entry in (worse, bad, bad):  # out of order, and one of them twice
        await log.reject(entry, reason=entry.error or "")
    letters = await bus.link.call("XRANGE", f"{log.key}:dead", "-", "+")
    assert {fields[1].decode().split(":")[0] for _, fields in letters} == {
        "the entry has no field named e",
        "not an envelope",
    }
    assert await log.dead_length() == 2


async def test_another_epoch_tells_that_the_stream_was_lost(bus: Bus) -> None:
    log = bus.log("storage:0")
    assert await log.epoch() == ""
    assert await log.last_id() == "0-0"
    await log.append(Line(1))
    before = await log.epoch()
    await log.append(Line(2))
    assert before
    assert await log.epoch() == before
    await bus.link.call("DEL", log.key)
    await log.append(Line(3))
    assert await log.epoch() not in {"", before}


async def advance(bus: Bus, stream: str) -> None:
    """Have a stream get ids of the future, as from a server whose clock is ahead."""
    seconds, _ = await bus.link.call("TIME")
    await bus.link.call("XSETID", stream, f"{(int(seconds) + 3600) * 1000}-0")


async def test_a_stream_that_ends_before_its_readers_position_is_one_of_another_epoch(
    own_redis: Any, namespace: str
) -> None:
    async with Bus.connect(own_redis.url, namespace=namespace) as bus:
        log = bus.log("writes")
        await log.append("kept")
        kept = own_redis.written
        await advance(bus, log.key)
        read, epoch = await log.append("lost"), await log.epoch()
        assert not await log.lost_tail(after=read, epoch=epoch)
        await anyio.to_thread.run_sync(own_redis.lose_tail, kept)
        low = await log.append("low")
        assert low < read  # a reader at `read` would not see it
        assert await log.lost_tail(after=read, epoch=epoch)
        assert await log.epoch() != epoch
        assert not await log.lost_tail(after=read, epoch=epoch)  # said once
        entries = [e.envelope for e in await log.read() if e.envelope is not None]
        assert [decode_body(envelope, str) for envelope in entries] == ["kept", "low"]


async def test_what_got_ids_that_were_trimmed_through_is_not_trimmed(
    own_redis: Any, namespace: str
) -> None:
    async with Bus.connect(own_redis.url, namespace=namespace) as bus:
        log = bus.log("writes")
        await log.append("first")
        kept = own_redis.written
        await advance(bus, log.key)
        read, epoch = await log.append("lost"), await log.epoch()
        assert await log.trim(through=read, epoch=epoch) == 2
        await anyio.to_thread.run_sync(own_redis.lose_tail, kept)
        await log.append("low")
        await bus.link.call("XSETID", log.key, read)
        later = await log.append("later")
        assert [e.id for e in await log.read(after=read)] == [later]  # which is all that it sees
        assert await log.trim(through=later, epoch=epoch, before=read) == -1
        assert await log.length() == 3
        assert await log.epoch() != epoch


async def test_whoever_appended_what_a_server_lost_can_know(own_redis: Any, namespace: str) -> None:
    async with (
        Bus.connect(own_redis.url, namespace=namespace) as one,
        Bus.connect(own_redis.url, namespace=namespace) as other,
    ):
        log = one.log("writes")
        await log.append("kept")
        await other.log("writes").append("kept")
        kept = own_redis.written
        await log.append("lost")
        await log.verify()
        assert log.losses == 0
        await anyio.to_thread.run_sync(own_redis.lose_tail, kept)
        await other.log("writes").append("later")  # and so the stream ends behind what was lost
        await log.verify()
        assert log.losses == 1
        await log.verify()
        assert log.losses == 1
        await log.append("again")
        await other.log("writes").verify()
        assert (log.losses, other.log("writes").losses) == (1, 0)
        kept = own_redis.written
        await log.append("lost, too")
        await anyio.to_thread.run_sync(own_redis.lose_tail, kept)
        await log.append("which tells as well")
        assert log.losses == 2
