"""Scatter and gather, for code that is not async."""

from typing import TYPE_CHECKING, Any, TypeVar

from bus.requests.gathering import Answer, Answers
from bus.requests.gathering import Gathering as AsyncGathering

from .hold import Hold
from .pull import Pull

if TYPE_CHECKING:
    from .bus import Bus

R = TypeVar("R")


class Gathering(Pull[Answer[R]]):
    """The answers to one question, as they arrive: iterate over it. Made by `Agent.gathering`.

    The iteration ends when everybody has answered, or when the time is over.

        with agent.gathering("page 2?", str, role="reviewer", timeout=5) as answers:
            for answer in answers:
                print(answer.agent, answer.reply or answer.error)

    Attributes:
        asked: Ids of those who were asked.
        answers: Those that were taken so far, by the id of the agent.
        silent: Ids of those who have not answered so far.

    Example:
        def review():
            with next(agent.inbox()) as delivery:
                delivery.reply("fine")

        reviewer = Thread(target=review)
        reviewer.start()
        gathering: Gathering[str]
        with bus.join("editor") as editor, editor.gathering("page 1", str, timeout=5) as gathering:
            answer: Answer[str] = next(gathering)
            print(answer.agent, answer.reply)  #> scout fine
        reviewer.join()
    """

    def __init__(self, bus: "Bus", hold: Hold[Any], over: AsyncGathering[R]) -> None:
        super().__init__(bus.portal, over.__anext__, hold)
        self._over = over

    @property
    def asked(self) -> list[str]:
        return self._over.asked

    @property
    def answers(self) -> dict[str, Answer[R]]:
        return self._over.answers

    @property
    def silent(self) -> list[str]:
        return self._over.silent

    @property
    def left(self) -> float:
        """Seconds until the time is over."""
        return self._portal.call(self._left)

    async def _left(self) -> float:
        return self._over.left  # by the clock of the event loop

    def all(self) -> Answers[R]:
        """Wait until everybody has answered, or the time is over."""
        return self._portal.call(self._over.all)
