"""Scatter and gather: one question to many agents, and whatever answers come in time."""

import time
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio
import msgspec

from bus.agents.inbox import INBOXES, inbox_of
from bus.errors import BusError
from bus.messages.codec import check_type
from bus.messages.envelope import Envelope

from .handling import give_up
from .request import result_of

if TYPE_CHECKING:
    from bus.bus import Bus

R = TypeVar("R")


class Answer(msgspec.Struct, Generic[R], frozen=True):
    """What one agent answered.

    Attributes:
        agent: Its id.
        reply: Its reply, or None where it failed.
        error: Why there is no reply: `RequestFailed` with its handler's error,
            `UndecodableMessage` where the reply is of another type, `BusError` where it could not
            be asked.

    Example: See `Gathering`.
    """

    agent: str
    reply: R | None
    error: BusError | None = None


class Answers(msgspec.Struct, Generic[R], frozen=True):
    """What became of a question to many.

    Attributes:
        replies: By the id of the agent that replied, in the order of arrival.
        failures: By the id of the agent whose handler failed, or that could not be asked.
        silent: Ids of those who did not answer in time.

    Example:
        async def review():
            async with await anext(agent.inbox()) as delivery:
                await delivery.reply("fine")

        async with bus.join("editor") as editor, anyio.create_task_group() as tasks:
            tasks.start_soon(review)
            answers: Answers[str] = await editor.gather("page 1", str, timeout=5)
            print(answers.replies, answers.failures, answers.silent)  #> {'scout': 'fine'} {} []
    """

    replies: dict[str, R]
    failures: dict[str, BusError]
    silent: list[str]

    @property
    def complete(self) -> bool:
        """Whether everybody who was asked replied."""
        return not self.failures and not self.silent


class Gathering(Generic[R]):
    """The answers to one question, as they arrive: iterate over it. Made by `Agent.gathering`.

    The iteration ends when everybody has answered, or when the time is over.

    Attributes:
        asked: Ids of those who were asked.
        answers: Those that were iterated over so far.

    Example:
        async def review():
            async with await anext(agent.inbox()) as delivery:
                await delivery.reply("fine")

        async with bus.join("editor") as editor, anyio.create_task_group() as tasks:
            tasks.start_soon(review)
            gathering: Gathering[str]
            async with editor.gathering("page 1", str, timeout=5) as gathering:
                first: Answer[str] = await anext(gathering)
                print(first.agent, first.reply)  #> scout fine
    """

    def __init__(self, asked: Sequence[str], reply_type: type[R], deadline: float) -> None:
        self.asked = list(asked)
        self.answers: dict[str, Answer[R]] = {}
        self._reply_type = reply_type
        self._ends_at = anyio.current_time() + max(0.0, deadline - time.time())
        self._outstanding = set(asked)
        self._waiting: deque[Answer[R]] = deque()
        self._arrived = anyio.Event()

    @property
    def silent(self) -> list[str]:
        """Ids of those who have not answered so far."""
        return [agent for agent in self.asked if agent in self._outstanding]

    @property
    def left(self) -> float:
        """Seconds until the time is over."""
        return max(0.0, self._ends_at - anyio.current_time())

    def take(self, agent: str, envelope: Envelope) -> None:
        """Take a reply. A second one of the same agent is passed over."""
        try:
            self.answer(Answer(agent, result_of(envelope, self._reply_type)))
        except BusError as error:
            self.answer(Answer(agent, None, error))

    def answer(self, answer: Answer[R]) -> None:
        """Take an answer."""
        if answer.agent in self._outstanding:
            self._outstanding.discard(answer.agent)
            self._waiting.append(answer)
            self._arrived.set()

    def __aiter__(self) -> "Gathering[R]":
        return self

    async def __anext__(self) -> Answer[R]:
        while not self._waiting:
            if not self._outstanding or not self.left:
                raise StopAsyncIteration
            self._arrived = anyio.Event()
            with anyio.move_on_after(self.left):
                await self._arrived.wait()
        answer = self._waiting.popleft()
        self.answers[answer.agent] = answer
        return answer

    async def all(self) -> Answers[R]:
        """Wait until everybody has answered, or the time is over."""
        async for _ in self:
            pass
        answers = self.answers.values()
        return Answers(
            {a.agent: a.reply for a in answers if a.error is None},  # type: ignore[misc]
            {a.agent: a.error for a in answers if a.error is not None},
            self.silent,
        )


@asynccontextmanager
async def gathering(
    bus: "Bus",
    agents: Sequence[str],
    body: object,
    reply_type: type[R],
    *,
    sender: str,
    deadline: float,
) -> AsyncGenerator[Gathering[R]]:
    """Ask `agents`, and collect their answers until the context ends. See `Agent.gathering`.

    The bus's mailbox is open.
    """
    check_type(reply_type)
    answers: Gathering[R] = Gathering(agents, reply_type, deadline)
    asked: dict[str, str] = {}
    limiter = anyio.CapacityLimiter(100)

    async def ask(agent: str, message: bytes) -> None:
        try:
            async with limiter:
                await inbox_of(bus, agent, {}, sender=sender).put_message(message)
        except BusError as error:
            answers.answer(Answer(agent, None, error))

    with bus.telemetry.requesting(INBOXES, len(agents)), ExitStack() as replies:
        messages: dict[str, bytes] = {}
        for agent in answers.asked:
            asked[agent], messages[agent] = bus.wrap(
                bus.keys.inbox(agent),
                body,
                sender=sender,
                reply_to=bus.mailbox.channel,
                deadline=deadline,
            )
            bus.check_size(messages[agent])
            replies.enter_context(_expecting(bus, answers, asked[agent], agent))
        try:
            with anyio.move_on_after(answers.left):
                async with anyio.create_task_group() as tasks:
                    for agent, message in messages.items():
                        tasks.start_soon(ask, agent, message)
            yield answers
        finally:
            if answers.left:
                with anyio.CancelScope(shield=True):
                    async with anyio.create_task_group() as tasks:
                        for agent in answers.silent:
                            stream = bus.keys.inbox(agent)
                            tasks.start_soon(give_up, bus, stream, asked[agent], sender)


def _expecting(bus: "Bus", answers: Gathering[Any], message_id: str, agent: str) -> Any:
    return bus.mailbox.expecting(
        message_id, lambda envelope: answers.take(agent, envelope), by=agent
    )
