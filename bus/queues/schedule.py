"""Schedules: messages put by the clock, each slot once across a fleet.

A queue's schedules are kept in Redis. Whoever of its live consumers finds one due puts its message
and moves it on to its next slot, in one script: of several that try, one succeeds. A slot that
passed while no consumer lived, or Redis was away, is put when there is one again: late, and once
however many slots were missed. Times are the server's. The messages are in the name of who stated
the schedule, and signed by it (`messages.signing`).
"""

import time
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from cronsim import CronSim, CronSimError

from bus.arguments import text
from bus.errors import InvalidSchedule
from bus.keys import QueueKeys
from bus.messages.envelope import Envelope, encode, new_id
from bus.servers.link import Link
from bus.servers.script import Script
from bus.telemetry import Destination
from bus.telemetry.journal import Journal

if TYPE_CHECKING:
    from .membership import DueSchedule

log = Journal("argentbus.queue")

_SCHEDULE: Final = Script("queues/schedule")
_FIRE: Final = Script("queues/fire", "queues/entries")


#: What reading a foreign hand's bytes raises.
_GARBLED: Final = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError, TypeError)


class Schedule(msgspec.Struct, frozen=True):
    """A message that is put again and again.

    Attributes:
        name: Of the schedule.
        cron: When, as a cron expression.
        tz: Name of the time zone in which that is meant.
        next_at: The coming slot (or one that is late), in seconds since the epoch; None where no
            further one exists.
        body: As plain data.
        key: Under which the message is put, or None.

    Example:
        reviews = bus.queue("reviews", Review)
        try:
            await reviews.schedule("nightly", "every night", Review("parser.py"))
        except InvalidSchedule:
            await reviews.schedule("nightly", "0 3 * * *", Review("parser.py"), tz="UTC")
        schedules: list[Schedule] = await reviews.schedules()
        print(schedules[0].name, schedules[0].body)  #> nightly {'path': 'parser.py'}
    """

    name: str
    cron: str
    tz: str
    next_at: float | None
    body: Any
    key: str | None = None


class _Stored(msgspec.Struct, array_like=True, frozen=True):
    """What is kept in Redis."""

    cron: str
    tz: str
    type: str
    sender: str
    body: msgspec.Raw
    key: str | None = None
    trace: str | None = None
    signature: bytes | None = None


def next_slot(cron: str, tz: str, after: float) -> float | None:
    """The first slot after `after` (both in seconds since the epoch), or None if there is none.

    Where clocks are put forward or back, jobs at a time of day run once, as with Debian's cron.

    Raises:
        InvalidSchedule: the expression or the time zone is not one.
    """
    zone = _zone(tz)
    try:
        found = next(CronSim(cron, datetime.fromtimestamp(after, zone)), None)
    except (CronSimError, ValueError, OverflowError, KeyError, IndexError) as error:
        raise InvalidSchedule(
            f"{cron!a} is not a cron expression ({error}): write minute, hour, day of the month, "
            "month and day of the week, such as '0 9 * * 1-5'"
        ) from error
    return None if found is None else found.timestamp()


def _zone(tz: str) -> tzinfo:
    if tz == "UTC":
        return UTC
    try:
        return ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidSchedule(
            f"{tz!a} is not a time zone that is known here: use a name such as Europe/Berlin, and "
            "install `tzdata` where the system has no zones"
        ) from error


async def keep(
    link: Link,
    keys: QueueKeys,
    name: str,
    cron: str,
    envelope: Envelope,
    *,
    tz: str,
    key: str | None,
) -> None:
    """Store a schedule of messages like `envelope`; see `Queue.schedule`."""
    cron = " ".join(text("cron", cron).split())
    text("tz", tz)
    seconds, micros = await link.retrying(lambda: link.call("TIME", key=keys.stream))
    first = next_slot(cron, tz, int(seconds) + int(micros) / 1e6)
    if first is None:
        raise InvalidSchedule(f"{cron!a} has no slot in the years to come")
    stored = _Stored(
        cron,
        tz,
        envelope.type,
        envelope.sender,
        envelope.body,
        key,
        link.telemetry.traceparent(),
        envelope.signature,
    )
    await link.run(
        _SCHEDULE,
        [keys.schedules, keys.scheduled],
        [name, f"{cron} {tz}", msgspec.msgpack.encode(stored), int(first * 1000)],
    )


async def drop(link: Link, keys: QueueKeys, name: str | bytes) -> bool:
    """Forget a schedule; return whether there was one."""
    await link.retrying(lambda: link.call("ZREM", keys.scheduled, name))
    return bool(await link.retrying(lambda: link.call("HDEL", keys.schedules, name)))


async def kept(link: Link, keys: QueueKeys) -> list[Schedule]:
    """All schedules, by name. What is garbled is left out, and logged."""
    rows = await link.retrying(lambda: link.call("HGETALL", keys.schedules))
    pairs = rows.items() if isinstance(rows, dict) else zip(rows[::2], rows[1::2], strict=True)
    schedules = []
    for name, value in sorted(pairs):
        try:
            stored = _read(value)
            body = msgspec.msgpack.decode(stored.body)
        except _GARBLED as error:
            log.warning("a schedule is garbled", stream=keys.stream, schedule=name, error=error)
            continue
        due = await link.retrying(lambda name=name: link.call("ZSCORE", keys.scheduled, name))  # type: ignore[misc]
        schedules.append(
            Schedule(
                name.decode(errors="replace"),
                stored.cron,
                stored.tz,
                None if due is None else float(due) / 1000,
                body,
                stored.key,
            )
        )
    return schedules


def _read(value: bytes) -> _Stored:
    return msgspec.msgpack.decode(value.partition(b"\n")[2], type=_Stored)


async def fire(link: Link, keys: QueueKeys, due: "DueSchedule", to: Destination) -> bool:
    """Put the message of a slot that is due, if nobody else was first. May be repeated.

    A schedule that is garbled is dropped: it would be due for ever.
    """
    try:
        stored = _read(due.value)
        following = next_slot(stored.cron, stored.tz, due.now)
    except (*_GARBLED, InvalidSchedule) as error:
        log.error(
            "a schedule that is garbled was dropped", queue=to.name, schedule=due.name, error=error
        )
        await drop(link, keys, due.name)
        return False
    telemetry = link.telemetry
    with telemetry.sending(to, link=stored.trace or "") as sending:
        envelope = Envelope(
            new_id(),
            stored.type,
            stored.sender,
            time.time(),
            stored.body,
            trace=telemetry.traceparent(),
            signature=stored.signature,
        )
        sending.message(envelope.id)
        put = await link.run(
            _FIRE,
            [keys.schedules, keys.scheduled, keys.stream, keys.counts, keys.lanes],
            [
                due.name,
                due.value,
                due.slot,
                "" if following is None else int(following * 1000),
                encode(envelope),
                stored.key or "",
                keys.lane,
            ],
        )
        if not put:
            sending.forget()
    return bool(put)
