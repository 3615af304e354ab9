"""Putting messages into a queue from threads, straight to Redis."""

from typing import TYPE_CHECKING

from bus.queues.appender import Form
from bus.queues.bounds import FULL
from bus.queues.durability import Durability
from bus.queues.inlet import Inlet as AsyncInlet
from bus.servers.script import Argument

if TYPE_CHECKING:
    from .appender import Appender
    from .bus import Bus


class Inlet:
    """Puts messages into one queue, by the admission and the script of the async inlet `over`.

    Waiting is the async one's, on the portal: for room in a queue that is full, and for a
    durability that was asked for.
    """

    def __init__(self, bus: "Bus", appender: "Appender", over: AsyncInlet) -> None:
        self._bus = bus
        self._appender = appender
        self._over = over

    def put(
        self,
        message: bytes,
        message_id: str,
        *,
        key: str | None,
        dedupe: str | None,
        due: str,
        durability: Durability | None,
    ) -> str:
        """Put a message; return the id of the one that stands. See `Queue.put` for errors."""
        over, admission = self._over, self._over.admission
        form: Form = admission.plain
        values: tuple[Argument, ...] = (message,)
        if dedupe is not None or key is not None or due:
            form = admission.special
            values = admission.values(message, message_id, key=key, dedupe=dedupe, due=due)
        if durability is not None:
            standing = self._bus.portal.call(over.send, form, message, values, durability)
            return standing.decode() or message_id
        self._bus.over.check_size(message)
        admission.check_fits(len(message))
        reply, place = self._appender.send(over.stream, form, len(message), *values)
        standing = reply[place] if reply else b""
        if standing == FULL:
            if admission.rules.when_full != "wait":
                raise admission.full()
            standing = self._bus.portal.call(over.send, form, message, values, None)
        return standing.decode() or message_id
