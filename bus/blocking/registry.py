"""Who is present, for code that is not async."""

from typing import TYPE_CHECKING, Self

from bus.agents.events import PresenceEvents as AsyncPresenceEvents
from bus.agents.presence import PresenceEvent
from bus.agents.registry import Registry as AsyncRegistry

from .pull import Pull
from .through import Noun, making, through

if TYPE_CHECKING:
    from .bus import Bus


class PresenceEvents(Pull[PresenceEvent]):
    """The presence events behind a position, in order: iterate over it. Made by `Registry.events`.

    It keeps a connection until `close`, the end of its `with` block, or that of the bus.

    Attributes:
        refused: Entries of the stream that are no events.

    Raises:
        EventsMissed: events were trimmed, or lost with the server's data, before they were read.
            Take a new snapshot.

    Example: See `Registry`.
    """

    def __init__(self, bus: "Bus", over: AsyncPresenceEvents) -> None:
        super().__init__(bus.portal, over.__anext__, None)
        self._bus = bus
        self._over = over

    @property
    def refused(self) -> int:
        return self._over.refused

    def close(self) -> None:
        """End the iteration, and give the connection up."""
        self.stop()
        if not self._bus.portal.closed and not self._bus.portal.foreign:
            self._bus.portal.call(self._over.aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Registry(Noun[AsyncRegistry]):
    """Presence in one namespace: `bus.registry`.

        snapshot = bus.registry.snapshot()
        with bus.registry.events(after=snapshot.after) as events:  # and what came behind it
            for event in events: ...

    Attributes:
        refused: Records in Redis that were not read, because they are none.

    Example:
        registry: Registry = bus.registry
        now = registry.snapshot()
        print(list(now.agents), now.states["scout"].status)  #> ['scout'] idle
        events: PresenceEvents
        with registry.events(after=now.after) as events, bus.join("writer"):
            event = events.receive(timeout=5)
            print(event.agent, event.kind)  #> writer joined
    """

    @property
    def refused(self) -> int:
        return self.over.refused

    snapshot = through(AsyncRegistry.snapshot)
    find = through(AsyncRegistry.find)
    states = through(AsyncRegistry.states)
    events = making(AsyncRegistry.events, PresenceEvents)
