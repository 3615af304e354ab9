"""What an agent can say to others: to one, to any or to all of a kind, with or without a reply."""

import random
import time
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

import anyio

from bus.errors import NobodyPresent, RequestTimeout
from bus.keys import check_name, check_names
from bus.queues.queue import Queue
from bus.queues.rules import QueueOptions
from bus.requests.gathering import Answers, Gathering, gathering
from bus.requests.request import deadline_in, request
from bus.topics.topic import Topic

from .inbox import inbox_of

if TYPE_CHECKING:
    from bus.bus import Bus

T = TypeVar("T")
R = TypeVar("R")


class Correspondent:
    """Somebody who sends and asks under an id of its own: an `Agent`.

    Attributes:
        bus: The bus it is on.
        id: Whom messages name as their sender.
    """

    def __init__(self, bus: "Bus", id: str) -> None:
        self.bus = bus
        self.id = id

    def topic(self, name: str, body_type: type[T]) -> Topic[T]:
        """Like `Bus.topic`, with this agent as the sender."""
        return self.bus.topic(name, body_type, sender=self.id)

    def queue(self, name: str, body_type: type[T], **rules: Unpack[QueueOptions]) -> Queue[T]:
        """Like `Bus.queue`, with this agent as the sender."""
        return self.bus.queue(name, body_type, sender=self.id, **rules)

    async def send(self, to: str, body: object) -> str:
        """Put `body` into the inbox of the agent `to`, who need not be present now.

        Where several instances are that agent, one of them gets it.

        Returns:
            The message's id.

        Raises:
            InvalidName: `to` cannot be an agent's id.
            NobodyPresent: `to` is known as one that takes no messages (`inbox=False`).
            PresenceLost: this agent's block has ended.
            BusUnavailable: Redis could not be reached; the message may have been put.
            MessageTooLarge: the encoded message is larger than the bus carries.
        """
        inbox = await self._inbox_of(to)
        return await inbox.put(body)

    async def send_any(
        self, body: object, *, role: str | None = None, capabilities: Iterable[str] = ()
    ) -> str:
        """Put `body` into the inbox of one of the agents that are present with that role and those
        capabilities, but this one: by chance, so that they share the work.

        Returns:
            The id of the agent that gets it.

        Raises:
            NobodyPresent: there is none.
            BusUnavailable, MessageTooLarge: as `send`.
        """
        to = random.choice(await self._others(role, capabilities))  # noqa: S311 (spreads work)
        await self.send(to, body)
        return to

    async def send_all(
        self, body: object, *, role: str | None = None, capabilities: Iterable[str] = ()
    ) -> list[str]:
        """Put `body` into the inbox of every agent that is present with that role and those
        capabilities (by default of everybody), but this one.

        It waits in those inboxes until it is read. What is only for those who listen now is better
        published on a topic.

        Returns:
            The ids of the agents that get it.

        Raises:
            NobodyPresent: there is none.
            BusUnavailable, MessageTooLarge: as `send`; some may have got it.
        """
        agents = await self._others(role, capabilities)
        limiter = anyio.CapacityLimiter(100)
        errors: list[Exception] = []

        async def send(to: str) -> None:
            async with limiter:
                try:
                    await self.send(to, body)
                except Exception as error:  # noqa: BLE001 (raised below, as itself)
                    errors.append(error)

        async with anyio.create_task_group() as tasks:
            for agent in agents:
                tasks.start_soon(send, agent)
        if errors:
            raise errors[0]
        return agents

    async def request(
        self,
        to: str,
        body: object,
        reply_type: type[R],
        *,
        timeout: float | None = None,
        inherit_deadline: bool = True,
    ) -> R:
        """Ask the agent `to`, and wait for its reply.

        Where several instances are that agent, one that is free handles it; where that one dies,
        another does, if there is time left. Where this call is cancelled, so is the handler.

        Args:
            timeout: Seconds after which nobody waits any more: the request is then not started, and
                its handler is cancelled. None: as long as the request that is being handled here
                has.
            inherit_deadline: Whether to wait no longer than the one who asked what is being handled
                here.

        Raises:
            RequestTimeout: no reply came in time.
            RequestFailed: the other's handler raised.
            UndecodableMessage: the reply is not a `reply_type`.
            ValueError: there is no timeout, and no deadline to inherit.
            InvalidName: `to` cannot be an agent's id.
            NobodyPresent: `to` is known as one that takes no messages (`inbox=False`).
            PresenceLost: this agent's block has ended.
        """
        return await request(
            self.bus,
            await self._inbox_of(to),
            body,
            reply_type,
            sender=self.id,
            timeout=timeout,
            inherit=inherit_deadline,
            to=f"agent {to}",
            by=to,
        )

    async def gather(
        self,
        body: object,
        reply_type: type[R],
        *,
        role: str | None = None,
        capabilities: Iterable[str] = (),
        timeout: float | None = None,
        inherit_deadline: bool = True,
    ) -> Answers[R]:
        """Ask every agent that is present with that role and those capabilities, but this one, and
        wait until all have answered or the time is over: who replied what, who failed, who is
        silent.

        Args:
            timeout: Seconds to wait for all of them. None: as for `request`.
            inherit_deadline: As for `request`.

        Raises:
            NobodyPresent: there is none.
            RequestTimeout: nobody could be asked in time.
            BusUnavailable: Redis could not be reached.
            InvalidName: a capability cannot be one.
        """
        async with self.gathering(
            body,
            reply_type,
            role=role,
            capabilities=capabilities,
            timeout=timeout,
            inherit_deadline=inherit_deadline,
        ) as answers:
            return await answers.all()

    def gathering(
        self,
        body: object,
        reply_type: type[R],
        *,
        role: str | None = None,
        capabilities: Iterable[str] = (),
        timeout: float | None = None,
        inherit_deadline: bool = True,
    ) -> AbstractAsyncContextManager[Gathering[R]]:
        """Like `gather`, with the answers as they arrive: iterate over what the context gives.

        Whoever has not answered when the context ends is told that nobody waits any more, and its
        handler is cancelled.

        Args:
            timeout: Seconds to wait for all of them. None: as for `request`.

        Raises:
            NobodyPresent, RequestTimeout, BusUnavailable, InvalidName: as `gather`.
        """

        @asynccontextmanager
        async def answers() -> Any:
            deadline = deadline_in(timeout, inherit=inherit_deadline)
            with anyio.move_on_after(deadline - time.time()) as looking:
                agents = await self._others(role, capabilities)
                await self.bus.mailbox.open()
            if looking.cancelled_caught:
                raise RequestTimeout("nobody was asked in time: Redis does not answer")
            async with gathering(
                self.bus, agents, body, reply_type, sender=self.id, deadline=deadline
            ) as found:
                yield found

        return answers()

    async def _others(self, role: str | None, capabilities: Iterable[str]) -> list[str]:
        self._check_here()
        wanted = check_names("capability", capabilities)
        found = await self.bus.registry.find(role=role, capabilities=wanted)
        agents = sorted({presence.agent for presence in found if presence.inbox} - {self.id})
        if not agents:
            having = [f"role {role}"] if role else []
            having += [f"capability {name}" for name in wanted]
            raise NobodyPresent(
                f"no other agent that takes messages is present{' with ' if having else ''}"
                f"{', '.join(having)}: start one (`argentbus agents` lists who is here)"
            )
        return agents

    async def _inbox_of(self, agent: str) -> Queue[Any]:
        self._check_here()
        inbox = inbox_of(self.bus, check_name("agent", agent), {}, sender=self.id)
        if not await self.bus.registry.takes_messages(agent):
            raise NobodyPresent(
                f"agent {agent} takes no messages (it joined with inbox=False): nothing was sent"
            )
        return inbox

    def _check_here(self) -> None:
        """Raise `PresenceLost` where it may no longer speak under its id."""
