"""Figures that are asked for rather than announced: queues, write log, heartbeats.

One task samples them for all viewers, and only while there are some.
"""

from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import anyio
import msgspec

from bus import Bus, BusError, InvalidName, Queue
from bus.errors import ServerRefused
from bus.telemetry.journal import Journal

T = TypeVar("T")
log = Journal("argentbus.metrics")

#: Seconds between two samples.
INTERVAL: Final = 1.0
#: Seconds within which a sample has to be complete, or Redis counts as away; and for how long a
#: broken connection is tried again before that.
PATIENCE: Final = 3.0
_RETRY: Final = 1.0
#: Queues that are counted, the first by name; agents whose heartbeat is looked up.
MOST_QUEUES: Final = 100
MOST_BEATS: Final = 500


class QueueFigures(msgspec.Struct, frozen=True):
    """One queue at one moment.

    Attributes:
        name: Of the queue.
        length: Messages in its stream.
        unread: Messages that the slowest group has not been given yet; all of them where nobody
            reads. None where the server cannot tell.
        pending: Deliveries in some consumer's hands, over all groups.
        dead, delayed: Dead letters, and messages put aside until later.
        error: True where the key is not a queue.
        groups, consumers: How many read it.

    Example: See `Sampler`.
    """

    name: str
    length: int = 0
    unread: int | None = 0
    pending: int = 0
    dead: int = 0
    delayed: int = 0
    groups: int = 0
    consumers: int = 0
    error: bool = False


class LogFigures(msgspec.Struct, frozen=True):
    """Length of one partition of the write log, in entries."""

    name: str
    length: int


class Sample(msgspec.Struct, frozen=True):
    """One look at everything.

    Attributes:
        at: By the clock of Redis, in seconds since the epoch.
        queues: The first hundred, by name.
        queues_total: How many there are.
        beats: For each agent asked for: when its presence runs out, in seconds since the epoch.
        logs: Length of each partition of the write log.

    Example: See `Sampler`.
    """

    at: float
    queues: list[QueueFigures]
    queues_total: int
    logs: list[LogFigures]
    beats: dict[str, float]


class Sampler:
    """Samples once a second while somebody is `viewing`.

    Args:
        bus: The bus to look at.
        on_sample: Called with each sample.
        on_failure: Called with the reason when Redis did not answer in time.
        agents: Names the agents whose heartbeats are wanted.
        partitions: Names the write logs to measure.

    Attributes:
        taken: Samples so far.

    Example:
        await bus.queue("reviews", str).put("parser.py")
        sampler = Sampler(bus, on_sample=print, on_failure=print)
        sample: Sample = await sampler.sample()
        figures: QueueFigures = sample.queues[0]
        print(figures.name, figures.length, figures.unread)  #> reviews 1 1
    """

    def __init__(
        self,
        bus: Bus,
        *,
        on_sample: Callable[[Sample], None],
        on_failure: Callable[[str], None],
        agents: Callable[[], Sequence[str]] = tuple,
        partitions: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._bus = bus
        self._on_sample = on_sample
        self._on_failure = on_failure
        self._agents = agents
        self._partitions = partitions
        self._viewers = 0
        self._wanted = anyio.Event()
        self.taken = 0

    @property
    def viewers(self) -> int:
        """How many are viewing."""
        return self._viewers

    @contextmanager
    def viewing(self) -> Generator[None]:
        """Have samples taken for the length of the context."""
        self._viewers += 1
        self._wanted.set()
        try:
            yield
        finally:
            self._viewers -= 1

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            if self._viewers == 0:
                self._wanted = anyio.Event()
                await self._wanted.wait()
            began = anyio.current_time()
            await self._try()
            await anyio.sleep(max(0.1, began + INTERVAL - anyio.current_time()))

    async def _try(self) -> None:
        reason = f"no answer within {PATIENCE:g} seconds"
        try:
            with anyio.fail_after(PATIENCE):
                sample = await self.sample()
        except BusError as error:
            reason = str(error)
        except TimeoutError:
            pass
        else:
            self.taken += 1
            self._on_sample(sample)
            return
        log.debug("there is no sample of the server", reason=reason)
        self._on_failure(reason)

    async def sample(self) -> Sample:
        """Look at everything once.

        Raises:
            BusError: Redis refused.
            BusUnavailable: it could not be reached within a second.
        """
        seconds, micros = await self._call("TIME", key=self._bus.keys.presence_index)
        names = sorted(await _unless_refused(self._bus.queues(), []))
        return Sample(
            at=int(seconds) + int(micros) / 1e6,
            queues=[await self._queue(name) for name in names[:MOST_QUEUES]],
            queues_total=len(names),
            logs=[
                LogFigures(name, await _unless_refused(self._bus.log(name).length(), 0))
                for name in self._partitions()
            ],
            beats=await _unless_refused(self._beats(), {}),
        )

    async def _queue(self, name: str) -> QueueFigures:
        try:
            queue: Queue[Any] = self._bus.queue(name, object)
            figures = await queue.statistics()
        except (InvalidName, ServerRefused) as error:
            log.debug("a queue cannot be counted", queue=name, error=error)
            return QueueFigures(name, error=True)
        lags = [group.lag for group in figures.groups]
        unread = None if None in lags else max((lag for lag in lags if lag is not None), default=0)
        return QueueFigures(
            name,
            figures.length,
            unread if figures.groups else figures.length,
            sum(group.pending for group in figures.groups),
            figures.dead,
            figures.delayed,
            len(figures.groups),
            sum(group.consumers for group in figures.groups),
        )

    async def _beats(self) -> dict[str, float]:
        agents = list(self._agents())[:MOST_BEATS]
        if not agents:
            return {}
        scores = await self._call("ZMSCORE", self._bus.keys.presence_index, *agents)
        return {
            agent: float(score) / 1000
            for agent, score in zip(agents, scores, strict=True)
            if score is not None
        }

    async def _call(self, command: str, *args: str, key: str | None = None) -> Any:
        link = self._bus.link
        return await link.retrying(lambda: link.call(command, *args, key=key), patience=_RETRY)


async def _unless_refused(figure: Awaitable[T], otherwise: T) -> T:
    """A foreign hand may have written under one key: the other figures are still worth showing."""
    try:
        return await figure
    except ServerRefused as error:
        log.debug("a figure is missing", error=error)
        return otherwise
