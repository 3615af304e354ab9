"""Subscriptions on a Cluster: on each node to the channels whose slot it has, and on one to all.

What `Bus.publish` sends (`SPUBLISH`) reaches who subscribed at the node that has the channel's
slot, and loads no other. A script may publish only by `PUBLISH`, since a sharded channel would have
to be in the slot of its keys; that reaches every node, so it is for the rare message: a wake-up of
a few bytes. A channel is subscribed in both ways, and so hears both.

Where a channel's slot goes to another node, by a failover or by resharding, its subscription
follows, and its sinks learn that they may have missed something. Sharded channels have no patterns:
`patterns` has what is done instead.
"""

from typing import Any

import anyio
from anyio.abc import TaskGroup

from bus.servers.cluster import Cluster
from bus.servers.link import Link
from bus.servers.node import Node

from .patterns import Patterns
from .subscriber import Subscriber


class Shards:
    """`Subscriber` for a Cluster: one for each node that has channels of ours, and one for all.

    Args:
        tasks: Where the subscribers run.
    """

    def __init__(self, link: Link, cluster: Cluster, tasks: TaskGroup, patterns: Patterns) -> None:
        self._link = link
        self._cluster = cluster
        self._tasks = tasks
        self._patterns = patterns
        self._taps: dict[tuple[str, int], _Tap] = {}
        self._owners: set[Node] = set()
        self._all = Subscriber(link)
        self._lines: dict[Node, tuple[Subscriber, anyio.CancelScope]] = {}
        self._moved = anyio.Event()

    async def add(self, name: str, sink: Any, *, pattern: bool = False) -> None:
        """Subscribe `sink`; return when the server has confirmed it.

        Raises:
            BusUnavailable: it was not confirmed within the bus's patience.
            ServerRefused: the user of this bus may not read that channel.
        """
        if pattern:
            await self._add_pattern(name, sink)
            return
        destination = await self._link.retrying(lambda: self._link.locate(name))
        # At most one line has a channel, also while its slot moves.
        line = self._line_with(name.encode()) or self._line_to(destination.node)
        try:
            await line.add(name, sink)
            await self._all.add(name, sink)
        except BaseException:
            self.remove(name, sink)
            raise

    async def _add_pattern(self, name: str, sink: Any) -> None:
        tap = self._taps[name, id(sink)] = _Tap(sink, self._patterns)
        try:
            # First what hears, then what says so.
            await self._all.add(self._patterns.broadcast(name), tap, pattern=True)
            await self._patterns.listen(name, sink)
        except BaseException:
            self.remove(name, sink, pattern=True)
            raise

    def remove(self, name: str, sink: Any, *, pattern: bool = False) -> None:
        """Unsubscribe `sink`."""
        if pattern:
            self._patterns.leave(name, sink)
            tap = self._taps.pop((name, id(sink)), None)
            self._all.remove(self._patterns.broadcast(name), tap, pattern=True)
            return
        self._all.remove(name, sink)
        for line, _ in self._lines.values():
            line.remove(name, sink)

    async def run(self) -> None:
        """Keep the subscriptions, each where its slot is, until cancelled."""
        self._tasks.start_soon(self._all.run)
        self._cluster.listeners.append(self._on_change)
        self._owners = set(self._cluster.known())
        try:
            while True:
                await self._moved.wait()
                self._moved = anyio.Event()
                self._settle()
        finally:
            self._cluster.listeners.remove(self._on_change)

    def _on_change(self) -> None:
        self._moved.set()

    def _settle(self) -> None:
        owners = set(self._cluster.known())
        if owners != self._owners:
            self._owners = owners
            self._patterns.gap()
        for node, (line, scope) in list(self._lines.items()):
            for channel in line.channels():
                owner = self._cluster.owner(channel)
                if owner is not None and owner is not node:
                    line.hand_over(channel, self._line_to(owner))
            if not line.channels():
                del self._lines[node]
                scope.cancel()

    def _line_with(self, channel: bytes) -> Subscriber | None:
        return next(
            (line for line, _ in self._lines.values() if channel in line.channels()),
            None,
        )

    def _line_to(self, node: Node) -> Subscriber:
        if node not in self._lines:
            line, scope = Subscriber(self._link, node), anyio.CancelScope()

            async def run() -> None:
                with scope:
                    await line.run()

            self._lines[node] = (line, scope)
            self._tasks.start_soon(run)
        return self._lines[node][0]


class _Tap:
    """Hears what is broadcast beside the topics' channels, as if it had come on those."""

    def __init__(self, sink: Any, patterns: Patterns) -> None:
        self._sink = sink
        self._patterns = patterns

    def deliver_from(self, channel: bytes, payload: bytes) -> None:
        """Take a message that was broadcast on `channel`."""
        self._sink.deliver_from(self._patterns.topic_of(channel), payload)

    def gap(self) -> None:
        """Learn that messages may have been missed."""
        self._sink.gap()
