"""What the rooms of the bus tell, and to whom: by default to nobody.

Each method is named for what happens; rooms call them in one line, on the path that the thing
takes. `Recorder` overrides them all. What is here does nothing and costs a call: no attribute is
put together, no clock read.
"""

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from bus.messages.envelope import Envelope

if TYPE_CHECKING:
    from bus.servers.address import Address


class Destination(NamedTuple):
    """Where messages go, as spans and metrics name it.

    Attributes:
        name: Of the queue, topic or log.
        template: The name with what is different for each of many left out, where it is one of
            many: metrics and the names of spans have this instead.
    """

    name: str
    template: str | None = None


class Operation:
    """Something that is under way while the context lasts, and ends in an error if that does."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None

    def message(self, message_id: str) -> None:
        """It is about the message of this id."""

    def note(self, name: str, value: str | float | bool) -> None:
        """Note a fact that became known on the way."""

    def forget(self) -> None:
        """It turned out to be nothing: do not tell."""


class Processing:
    """A message in the hands of a handler, from its making to `end`."""

    __slots__ = ()

    def activate(self) -> Any:
        """What is told in this context from here on belongs to it. Returns a token."""
        return None

    def deactivate(self, token: Any) -> None:
        """Undo `activate`, in the same context."""

    def end(self, outcome: str, error: BaseException | None = None) -> None:
        """It was settled: `ack`, `nack`, `retry`, `dead_letter`, `returned`, `abandoned`, or for a
        request `failed`.
        """


class Instrument:
    """A counter, a gauge or a histogram."""

    __slots__ = ()

    def add(self, amount: float, attributes: Mapping[str, Any] | None = None) -> None:
        """Count."""

    def set(self, amount: float, attributes: Mapping[str, Any] | None = None) -> None:
        """Set a gauge."""

    def record(self, amount: float, attributes: Mapping[str, Any] | None = None) -> None:
        """Enter into a histogram."""


_OPERATION: Final = Operation()
_PROCESSING: Final = Processing()
_INSTRUMENT: Final = Instrument()


class Telemetry:
    """Tells nobody anything.

    Attributes:
        tells: Whether it tells somebody: for where even calls that do nothing would be felt.
    """

    tells = False

    def at(self, namespace: str, address: "Address") -> "Telemetry":
        """The same, for one namespace of one Redis."""
        return self

    def traceparent(self) -> str | None:
        """The context of the span that is current here, as it travels in an envelope."""
        return None

    # messages

    def sending(
        self, to: Destination, operation: str = "send", *, link: str | None = None
    ) -> Operation:
        """A message is handed to Redis.

        Args:
            link: Traceparent of where it comes from, if not from what is current here.
        """
        return _OPERATION

    def requesting(self, to: Destination, count: int = 1) -> Operation:
        """A request is sent, to `count` at once, and its answer waited for."""
        return _OPERATION

    def consumed(self, source: Destination, group: str) -> None:
        """A message of a queue was handed to the application, which settles it by itself."""

    def processing(
        self, source: Destination, group: str, envelope: Envelope, attempt: int
    ) -> Processing:
        """A handler begins with a message."""
        return _PROCESSING

    def received(self, source: Destination, message_id: str, origin: str | None) -> None:
        """A message of a topic was handed to the application."""

    def applying(self, source: Destination, traces: Iterable[str | None], count: int) -> Operation:
        """A batch of `count` messages, whose traceparents these are, is dealt with as one."""
        return _OPERATION

    # what becomes of messages

    def retried(self, source: Destination, group: str) -> None:
        """A delivery is to be tried again."""

    def buried(self, source: Destination, group: str) -> None:
        """A message became a dead letter."""

    def reclaimed(self, source: Destination, group: str, count: int) -> None:
        """Deliveries were taken over from consumers that died."""

    def dropped(self, source: Destination) -> None:
        """A feed had no room for an event."""

    # locks, maps

    def waiting(self, noun: str, name: str) -> Operation:
        """A lock (or semaphore, election) is waited for."""
        return _OPERATION

    def holding(self, noun: str, name: str, fence: int) -> Operation:
        """It is held. What happens meanwhile is not a part of that span: a lock may be held for
        as long as the process lives.
        """
        return _OPERATION

    def writing(self, operation: str, name: str) -> Operation:
        """An entry of the map `name` is written."""
        return _OPERATION

    # the process and its connections

    def reconnected(self) -> None:
        """The shared connection to a server was made again."""

    def late(self) -> None:
        """A heartbeat was begun late, or was not taken by Redis."""

    def joined(self, role: str | None) -> None:
        """An agent of this process is present from now on."""

    def left(self, role: str | None) -> None:
        """It is no longer."""

    # for packages above: figures of their own

    def counter(self, name: str, unit: str, description: str) -> Instrument:
        """A number that only grows."""
        return _INSTRUMENT

    def gauge(self, name: str, unit: str, description: str) -> Instrument:
        """A number as it is at the moment."""
        return _INSTRUMENT

    def histogram(
        self, name: str, unit: str, description: str, bounds: tuple[float, ...] | None = None
    ) -> Instrument:
        """How large something is, over and over. By default in seconds."""
        return _INSTRUMENT


#: Where no provider is set up.
SILENT: Final = Telemetry()
