"""The inlet of a queue: messages on their way in, numbered, bounded, as durable as asked for."""

from datetime import datetime
from typing import TYPE_CHECKING, Final

from bus.arguments import instance, seconds
from bus.keys import QueueKeys
from bus.servers.script import Argument

from .admission import Admission
from .appender import Form, Lane
from .bounds import FULL
from .durability import Durability
from .rules import Rules

if TYPE_CHECKING:
    from bus.bus import Bus

#: Seconds: ten years.
MOST_DELAY: Final = 315_360_000.0


class Inlet:
    """Puts messages into the queue `name`. See `Queue.put` for what each put is and raises.

    Attributes:
        admission: What the queue asks of them.
        stream: Key of the queue's stream.
    """

    def __init__(self, bus: "Bus", name: str, keys: QueueKeys, rules: Rules) -> None:
        self.admission: Final = Admission(name, keys, rules)
        self.stream: Final = keys.stream
        self._bus = bus
        self._bounded = rules.bounded
        self._lane: Lane | None = None

    async def put(self, message: bytes, durability: Durability | None) -> None:
        """Put a message with nothing but itself."""
        plain = self.admission.plain
        if durability is not None or self._bounded:
            await self.send(plain, message, (message,), durability)
            return
        # The hot path: each call on it is one more to go through at every resumption.
        self._bus.check_size(message)
        lane = self._lane or self._open_lane()
        await lane.send(plain, len(message), message)

    async def put_specially(
        self,
        message: bytes,
        message_id: str,
        *,
        key: str | None,
        dedupe: str | None,
        due: str,
        durability: Durability | None,
    ) -> str:
        """Put a message with a key, a dedupe id or a time; return the id of the one that stands.

        Args:
            due: See `due_at`.
        """
        admission = self.admission
        values = admission.values(message, message_id, key=key, dedupe=dedupe, due=due)
        standing = await self.send(admission.special, message, values, durability)
        return standing.decode() or message_id

    async def send(
        self,
        form: Form,
        message: bytes,
        values: tuple[Argument, ...],
        durability: Durability | None,
    ) -> bytes:
        """Send a message; return the id of the one it repeats, or nothing."""
        self._bus.check_size(message)
        size = len(message)
        if durability is not None:
            instance("durability", durability, Durability)
            durability.check(self._bus.link)
            lane = self._bus.appender.lane(self.stream, durability)
        else:
            lane = self._lane or self._open_lane()
        if self._bounded:
            return await self._send_bounded(lane, form, values, size)
        reply, place = await lane.send(form, size, *values)
        return reply[place] if reply else b""

    async def _send_bounded(
        self, lane: Lane, form: Form, values: tuple[Argument, ...], size: int
    ) -> bytes:
        self.admission.check_fits(size)

        async def attempt() -> bytes:
            reply, place = await lane.send(form, size, *values)
            return bytes(reply[place])

        if self.admission.rules.when_full == "wait":
            return await lane.line.until_room(attempt)
        result = await attempt()
        if result == FULL:
            raise self.admission.full()
        return result

    def _open_lane(self) -> Lane:
        self._lane = self._bus.appender.lane(self.stream)
        return self._lane


def due_at(delay: float, at: datetime | None) -> str:
    """When a message is due, as `lua/put.lua` takes it.

    Raises:
        ValueError: both are given, the delay is negative or longer than ten years, or `at` has no
            time zone.
        TypeError: one is of another type.
    """
    seconds("delay", delay, most=MOST_DELAY)
    if at is None:
        return f"+{int(delay * 1000)}" if delay > 0 else ""
    if delay:
        raise ValueError("say when it is due once: with `delay`, or with `at`")
    if instance("at", at, datetime).utcoffset() is None:
        raise ValueError(f"{at!r} has no time zone: `datetime.now(timezone.utc)` has one")
    return str(int(at.timestamp() * 1000))
