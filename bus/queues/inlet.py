"""The inlet of a queue: messages on their way in, numbered, bounded, as durable as asked for."""

from datetime import datetime
from typing import TYPE_CHECKING, Final

from bus.arguments import instance, seconds
from bus.errors import MessageTooLarge, QueueFull
from bus.keys import QueueKeys, check_name
from bus.servers.script import Argument, Script

from .appender import Form, Lane
from .bounds import FULL
from .durability import Durability
from .rules import Rules

if TYPE_CHECKING:
    from bus.bus import Bus

_PUT: Final = Script("queues/put", "queues/entries")

#: Seconds: ten years.
MOST_DELAY: Final = 315_360_000.0

#: Seconds for which a queue remembers a dedupe id.
DEDUPE_TTL: Final = 86_400.0


class Inlet:
    """Puts messages into the queue `name`. See `Queue.put` for what each put is and raises."""

    def __init__(self, bus: "Bus", name: str, keys: QueueKeys, rules: Rules) -> None:
        self._bus = bus
        self._name = name
        self._keys = keys
        self._rules = rules
        # Messages with nothing but themselves travel as one value, others as five.
        self._plain = self._form(1)
        self._special = self._form(5)
        self._lane: Lane | None = None

    async def put(self, message: bytes, durability: Durability | None) -> None:
        """Put a message with nothing but itself."""
        if durability is not None or self._rules.bounded:
            await self._send(self._plain, message, (message,), durability)
            return
        # The hot path: each call on it is one more to go through at every resumption.
        self._bus.check_size(message)
        lane = self._lane or self._open_lane()
        await lane.send(self._plain, len(message), message)

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
        if dedupe is not None:
            check_name("dedupe id", dedupe)
        if key is not None:
            self.check_key(key)
        values = (message, message_id, dedupe or "", due, key or "")
        standing = await self._send(self._special, message, values, durability)
        return standing.decode() or message_id

    def check_key(self, key: str) -> None:
        """Raise where `key` cannot be a key, or the queue has none."""
        if not self._rules.ordered:
            raise ValueError(
                f"queue {self._name} keeps no order: open it with ordered=True to use keys"
            )
        check_name("key", key)

    async def _send(
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
            lane = self._bus.appender.lane(self._keys.stream, durability)
        else:
            lane = self._lane or self._open_lane()
        if self._rules.bounded:
            return await self._send_bounded(lane, form, values, size)
        reply, place = await lane.send(form, size, *values)
        return reply[place] if reply else b""

    async def _send_bounded(
        self, lane: Lane, form: Form, values: tuple[Argument, ...], size: int
    ) -> bytes:
        rules = self._rules
        if rules.max_bytes is not None and size > rules.max_bytes:
            raise MessageTooLarge(
                f"a message of {size:,} bytes never fits into queue {self._name}, which holds "
                f"{rules.max_bytes:,}"
            )

        async def attempt() -> bytes:
            reply, place = await lane.send(form, size, *values)
            return bytes(reply[place])

        if rules.when_full == "wait":
            return await lane.line.until_room(attempt)
        result = await attempt()
        if result == FULL:
            raise QueueFull(
                f"queue {self._name} is full (max_length={rules.max_length}, "
                f"max_bytes={rules.max_bytes}): put it later, add consumers, or wait for room "
                "(when_full='wait')"
            )
        return result

    def _form(self, values: int) -> Form:
        keys, rules = self._keys, self._rules
        most = (rules.max_length or 0, rules.max_bytes or 0)
        return Form(
            _PUT,
            (keys.stream, keys.delayed, keys.counts, keys.lanes),
            (keys.lane, keys.dedupe, int(DEDUPE_TTL * 1000), *most, values),
        )

    def _open_lane(self) -> Lane:
        self._lane = self._bus.appender.lane(self._keys.stream)
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
