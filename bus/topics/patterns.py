"""Patterns on a Cluster, whose sharded channels have none.

What is published goes to the topic's sharded channel, as ever. Only while somebody listens by a
pattern that fits, it is published once more, on a classic channel beside it, which the Cluster
carries to all its nodes, and where patterns are understood.

Who publishes knows which patterns there are from one small key, which is read once in `TRUST`
seconds at most, and ahead of time, so that publishing does not wait for it. Who subscribes by a
pattern notes it there, and then waits until what publishers had read before can no longer be
trusted: as without a Cluster, whatever is published after a subscription stands is received. What
cannot be read is taken for "somebody listens": a broadcast in vain costs less than a message.

Other ways were left aside. A registry of the topics' names, each subscribed to by its name, costs
publishers less still, but a topic's first message comes before anybody can have heard of the topic,
and there may be a topic for every task. `PUBSUB NUMPAT` knows of one node's subscribers only, and
broadcasting always costs every node a message that nobody may want.

All broadcasts go by one node, so that those of one publisher arrive in their order, whatever their
topics. At most once, as all of pub/sub: between its nodes a Cluster carries messages without a word
where that fails. So a feed by pattern notes a gap also where the Cluster's masters have changed.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

import anyio

from bus.agents.heartbeat import Beat, Pump
from bus.errors import BusError
from bus.keys import Keys
from bus.servers.link import AWAY, Link
from bus.servers.script import Script
from bus.telemetry.journal import Journal

log = Journal("argentbus.topic")

_LISTEN: Final = Script("topics/listen")

#: Seconds for which a publisher trusts what it has read; a subscription by pattern takes as long.
TRUST: Final = 1.0

#: Seconds that a reading may hold up a publisher.
_READING: Final = 0.5

#: Seconds for which a pattern is kept without a word from who listens, and between its words.
KEEP: Final = 12.0
_REFRESH: Final = 3.0

#: Channels of which it is remembered whether a pattern fits.
_MOST_REMEMBERED: Final = 10_000


class Patterns:
    """The patterns of a namespace on a Cluster, for who publishes and who listens."""

    def __init__(self, link: Link, keys: Keys, pump: Pump) -> None:
        self._link = link
        #: Of what is noted; broadcasts go by the node that has it, all by one, in their order.
        self.key: Final = keys.patterns
        self._topics = keys.topic("")
        self._broadcasts = keys.broadcast("")
        self._pump = pump
        self._beat = Beat(_REFRESH, self._note_all)
        # Those that are listened by here: how often each, and the sinks that learn of gaps.
        self._sinks: dict[str, list[Any]] = {}
        # What a publisher knows: what fits, None where nothing does, and until when that holds.
        self._fits: re.Pattern[str] | None = None
        self._known: frozenset[str] = frozenset()
        self._assumed = False
        self._trusted_until = -1.0
        self._reading: anyio.Event | None = None
        self._remembered: dict[str, bool] = {}

    # for who publishes

    def concern(self, channel: str) -> bool:
        """Whether `channel` is one that patterns can be about: a topic's."""
        return channel.startswith(self._topics)

    def broadcast(self, channel: str) -> str:
        """The classic channel beside that of a topic."""
        return self._broadcasts + channel.removeprefix(self._topics)

    def topic_of(self, broadcast: bytes) -> bytes:
        """The channel of the topic that a classic channel is beside of."""
        return self._topics.encode() + broadcast.removeprefix(self._broadcasts.encode())

    async def fit(self, channel: str) -> bool:
        """Whether somebody listens, or may, to the channel of a topic by a pattern."""
        left = self._trusted_until - anyio.current_time()
        if left < TRUST / 2:
            reading = self._read_soon()
            if left <= 0:
                with anyio.move_on_after(_READING):
                    await reading.wait()
                if self._trusted_until <= anyio.current_time():
                    return True
        if self._assumed:
            return True
        if self._fits is None:
            return False
        found = self._remembered.get(channel)
        if found is None:
            found = self._fits.fullmatch(channel, len(self._topics)) is not None
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[channel] = found
        return found

    def _read_soon(self) -> anyio.Event:
        if self._reading is None:
            self._reading = anyio.Event()
            self._link.tasks.start_soon(self._read, self._reading)
        return self._reading

    async def _read(self, done: anyio.Event) -> None:
        asked_at = anyio.current_time()
        try:
            with anyio.fail_after(TRUST):
                rows = await self._link.call("ZRANGE", self.key, 0, -1)
            self._learn(frozenset(row.decode(errors="replace") for row in rows))
            self._assumed = False
            # From when it was asked for: what is noted later may not be in it.
            self._trusted_until = asked_at + TRUST
        except (*AWAY, BusError) as error:
            log.debug("which patterns are listened by is not known", error=error)
            self._assumed = True
            self._trusted_until = anyio.current_time() + TRUST
        finally:
            self._reading = None
            done.set()

    def _learn(self, patterns: frozenset[str]) -> None:
        if patterns != self._known:
            self._known = patterns
            self._remembered.clear()
            self._fits = re.compile("|".join(map(_expression, patterns))) if patterns else None

    # for who listens

    async def listen(self, pattern: str, sink: Any) -> None:
        """Note that somebody listens by `pattern`, a pattern of topics' channels; return when all
        who publish know.

        Raises:
            BusUnavailable: Redis could not be reached.
            ServerRefused: the user of this bus may not listen by patterns.
        """
        name = pattern.removeprefix(self._topics)
        [kept] = await self._note([name])
        self._sinks.setdefault(name, []).append(sink)
        self._pump.add(self._beat)
        # Where it has been noted for longer than anybody trusts an older reading, all know.
        if kept < 0 or kept > (KEEP - TRUST) * 1000:
            await anyio.sleep(TRUST)

    def leave(self, pattern: str, sink: Any) -> None:
        """No longer listen. Others may, so the note runs out by itself."""
        name = pattern.removeprefix(self._topics)
        sinks = self._sinks.get(name, [])
        if sink in sinks:
            sinks.remove(sink)
        if not sinks:
            self._sinks.pop(name, None)
        if not self._sinks:
            self._pump.remove(self._beat)

    def gap(self, names: Iterable[str] | None = None) -> None:
        """Have feeds (all, or those of some patterns) note that they may have missed something."""
        for name in list(self._sinks) if names is None else names:
            for sink in self._sinks.get(name, ()):
                sink.gap()

    async def _note_all(self) -> None:
        names = list(self._sinks)
        kept = await self._note(names)
        # Who published meanwhile did not know.
        self.gap(name for name, ms in zip(names, kept, strict=True) if ms < 0)

    async def _note(self, names: list[str]) -> list[int]:
        found = await self._link.run(_LISTEN, [self.key], [int(KEEP * 1000), *names])
        return [int(ms) for ms in found]


def _expression(pattern: str) -> str:
    """A glob pattern (`*` and `?` alone are in ours) as a regular expression."""
    return "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern)
