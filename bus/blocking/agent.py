"""An agent on the bus, for code that is not async."""

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from bus.agents.agent import Agent as AsyncAgent
from bus.agents.presence import Presence
from bus.agents.state import AgentState
from bus.errors import BusError, PresenceLost
from bus.requests.gathering import Answers

from .portal import Hold
from .queue import Deliveries, Queue
from .topic import Topic

if TYPE_CHECKING:
    from .bus import Bus

T = TypeVar("T")
R = TypeVar("R")


class Agent:
    """An agent, present while its block lasts. Made by `Bus.join`.

    Arguments, guarantees and errors are those of the async `Agent`.

    Attributes:
        bus: The bus it is on.
        id: The agent's id.
    """

    def __init__(
        self,
        bus: "Bus",
        agent_id: str,
        make: Callable[[], AbstractAsyncContextManager[AsyncAgent]],
    ) -> None:
        self.bus = bus
        self.id = agent_id
        self._hold: Hold[AsyncAgent] = Hold(bus.portal, make, self._stopped)
        self._joined: AsyncAgent | None = None
        self._inbox: Deliveries[Any] | None = None

    def __enter__(self) -> Self:
        self._joined = self._hold.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._hold.leave(error)

    @property
    def over(self) -> AsyncAgent:
        """The async agent that this one is. Raises `BusError` outside of the block."""
        if self._joined is None:
            raise BusError(f"agent {self.id} has not joined: use it inside `with bus.join()`")
        return self._joined

    @property
    def presence(self) -> Presence:
        """Its record: id, instance, role, where it runs, since when."""
        return self.over.presence

    @property
    def instance(self) -> str:
        return self.over.instance

    @property
    def state(self) -> AgentState:
        """What it last said of itself."""
        return self.over.state

    def check(self) -> None:
        """Raise `PresenceLost` where another instance has taken this one's place."""
        if isinstance(self._hold.failure, PresenceLost):
            raise self._hold.failure
        if self._hold.lost:
            raise PresenceLost(f"agent {self.id} is no longer present here: this one must stop")

    # saying of itself

    def set_state(self, *, status: str | None = None, **changes: Any) -> None:
        """Change some of the agent's state; the rest stays. See the async `Agent.set_state`."""
        self.bus.portal.call(self.over.set_state, status=status, **changes)

    def progress(self, note: str | None = None) -> None:
        """Mark that the agent gets on. See the async `Agent.progress`."""
        self.bus.portal.call(self.over.progress, note)

    # to others

    def topic(self, name: str, body_type: type[T]) -> Topic[T]:
        """Like `Bus.topic`, with this agent as the sender."""
        return self.bus.topic(name, body_type, sender=self.id)

    def queue(self, name: str, body_type: type[T], *, max_deliveries: int = 5) -> Queue[T]:
        """Like `Bus.queue`, with this agent as the sender."""
        return self.bus.queue(name, body_type, max_deliveries=max_deliveries, sender=self.id)

    def send(self, to: str, body: object) -> str:
        """Put `body` into the inbox of the agent `to`; return the message's id."""
        return self.bus.portal.call(self.over.send, to, body)

    def send_any(
        self, body: object, *, role: str | None = None, capabilities: Iterable[str] = ()
    ) -> str:
        """Put `body` into the inbox of one of those that fit; return its id."""
        return self.bus.portal.call(self.over.send_any, body, role=role, capabilities=capabilities)

    def send_all(
        self, body: object, *, role: str | None = None, capabilities: Iterable[str] = ()
    ) -> list[str]:
        """Put `body` into the inbox of each of those that fit; return their ids."""
        return self.bus.portal.call(self.over.send_all, body, role=role, capabilities=capabilities)

    def request(
        self,
        to: str,
        body: object,
        reply_type: type[R],
        *,
        timeout: float | None = None,
        inherit_deadline: bool = True,
    ) -> R:
        """Ask the agent `to`, and wait for its reply. Ctrl-C cancels its handler as well."""
        return self.bus.portal.call(
            self.over.request,
            to,
            body,
            reply_type,
            timeout=timeout,
            inherit_deadline=inherit_deadline,
        )

    def gather(
        self,
        body: object,
        reply_type: type[R],
        *,
        role: str | None = None,
        capabilities: Iterable[str] = (),
        timeout: float | None = None,
        inherit_deadline: bool = True,
    ) -> Answers[R]:
        """Ask everybody who fits, and wait for the answers. See the async `Agent.gather`."""
        return self.bus.portal.call(
            self.over.gather,
            body,
            reply_type,
            role=role,
            capabilities=capabilities,
            timeout=timeout,
            inherit_deadline=inherit_deadline,
        )

    # hearing

    def inbox(self, *body_types: Any, prefetch: int | None = None) -> Deliveries[Any]:
        """The messages that others sent to this agent, endlessly: iterate over it.

        The iteration ends when the agent has left, or was taken over.
        """
        inbox = self.over.inbox(*body_types, prefetch=prefetch)
        if self._inbox is None:
            self._inbox = Deliveries(self.bus, inbox)
            if self._hold.lost:
                self._inbox.stop()
        return self._inbox

    def _stopped(self) -> None:
        if self._inbox is not None:
            self._inbox.stop()
