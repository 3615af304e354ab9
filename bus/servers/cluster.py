"""A Redis Cluster: which node has the slot of a key, and what changes about that.

The map of slots comes from any node (`CLUSTER SLOTS`), a few seconds apart while all is well and at
once when a node redirects (`MOVED`) or cannot be reached. A node that was cut off from the others
still tells the old map: a map is taken only from a node that sees the Cluster working and knows
no older epoch than the one before. Nodes that lost their slots are given half a second to answer
what they were sent, and then cut: one that hangs would otherwise be waited for.
"""

import random
from collections.abc import Callable
from typing import Any, Final

import anyio
from coredis.connection import BaseConnection
from coredis.exceptions import AskError, ClusterDownError, MovedError

from bus.errors import BusError
from bus.telemetry.journal import Journal

from .address import Endpoint
from .connector import Connector, reply
from .faults import AWAY, TRANSIENT
from .node import Node, Shared
from .route import Destination
from .slots import SLOTS, Key, slot_of

log = Journal("argentbus.link")

#: Seconds between two looks at the map while nothing happens, and while something does.
CALM: Final = 5.0
UNREST: Final = 0.1

#: Seconds that a node may take to tell the map.
ANSWER: Final = 2.0

#: Seconds that a node without slots gets to answer what it was sent before.
GRACE: Final = 0.5

#: Seconds for which the place of a key on its way (`ASK`) is known to readers that come anew.
ON_THE_WAY: Final = 1.0


class Cluster:
    """The route to the nodes of a Cluster."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._nodes: dict[Endpoint, Node] = {}
        self._slots: list[Node | None] = [None] * SLOTS
        self._owners: list[Node] = []
        self._epoch = -1
        self._look: Shared[None] = Shared(connector, self._read_map)
        self._trouble = anyio.Event()
        self._asks: dict[Key, tuple[Node, float]] = {}
        #: Called after the map has changed.
        self.listeners: list[Callable[[], None]] = []

    async def start(self) -> None:
        await self._look.get()
        await (await self.locate(None)).node.connection()

    async def locate(self, key: Key | None) -> Destination:
        if key is None:
            if not self._owners:
                await self._look.get()
            return Destination(random.choice(self._owners))  # noqa: S311 (spreads load)
        slot = slot_of(key)
        node = self._slots[slot]
        if node is None:
            await self._look.get()
            node = self._slots[slot]
        if node is None:
            raise ClusterDownError(f"CLUSTERDOWN no node has slot {slot}")
        return Destination(node)

    def on_its_way(self, key: Key) -> Destination | None:
        node, until = self._asks.get(key, (None, 0.0))
        return Destination(node, asking=True) if node and anyio.current_time() < until else None

    def redirected(self, error: AskError, by: Node, key: Key | None) -> Destination:
        node = self._node(Endpoint(error.host or by.endpoint.host, error.port))
        if isinstance(error, MovedError):
            self._slots[error.slot_id] = node
            self._trouble.set()
            self._changed()
            return Destination(node)
        now = anyio.current_time()
        # By key, not by slot: what is still at the old node must not be made anew at the other.
        self._asks = {key: ask for key, ask in self._asks.items() if ask[1] > now}
        if key is not None:
            self._asks[key] = (node, now + ON_THE_WAY)
        return Destination(node, asking=True)

    async def nodes(self) -> list[Node]:
        if not self._owners:
            await self._look.get()
        return list(self._owners)

    async def replicas(self) -> list[Node]:
        found: dict[Endpoint, None] = {}
        for node in await self.nodes():
            # Each is asked: of the replicas of others a node may not have heard yet. (CLUSTER SLOTS
            # leaves out those that have nothing yet.)
            connection = await node.connection()
            told: bytes = await reply(connection, b"CLUSTER", b"NODES", timeout=ANSWER)
            for line in told.decode().splitlines():
                place, flags = line.split()[1:3]
                if "slave" in flags and "fail" not in flags and "handshake" not in flags:
                    host, _, port = place.partition("@")[0].rpartition(":")
                    found[Endpoint(host or node.endpoint.host, int(port))] = None
        return [self._node(endpoint) for endpoint in found]

    def known(self) -> list[Node]:
        return list(self._owners)

    def owner(self, key: Key) -> Node | None:
        """The node that has the key, as far as is known."""
        return self._slots[slot_of(key)]

    def _disturbed(self) -> None:
        self._trouble.set()

    async def watch(self) -> None:
        """Follow the map of slots."""
        while True:
            with anyio.move_on_after(CALM):
                await self._trouble.wait()
            self._trouble = anyio.Event()
            try:
                await self._look.get()
            except AWAY as error:
                log.debug("reading the map of slots was interrupted", error=error)
                self._trouble.set()
            except BusError as error:
                log.warning("the map of slots cannot be read", error=error)
            await anyio.sleep(UNREST)

    def _node(self, endpoint: Endpoint) -> Node:
        node = self._nodes.get(endpoint)
        if node is None:
            node = Node(self._connector, endpoint, self._disturbed)
            self._nodes[endpoint] = node
        return node

    async def _read_map(self) -> None:
        seeds = [self._node(endpoint) for endpoint in self._connector.address.endpoints]
        known = random.sample(self._owners, len(self._owners))
        best: tuple[bool, int, Node, Any] | None = None
        last: Exception | None = None
        for node in dict.fromkeys(known + seeds):
            try:
                with anyio.fail_after(ANSWER):
                    works, epoch, slots = await _told(await node.connection())
            except (*TRANSIENT, BusError) as error:
                if not isinstance(error, AWAY) and not self._owners:
                    raise
                last = error
                continue
            if best is None or (works, epoch) > best[:2]:
                best = (works, epoch, node, slots)
            if works and epoch >= self._epoch:
                break
        if best is None:
            raise last or ClusterDownError("CLUSTERDOWN no node is known")
        _, self._epoch, node, slots = best
        self._adopt(node, slots)

    def _adopt(self, teller: Node, slots: Any) -> None:
        mapped: list[Node | None] = [None] * SLOTS
        for first, last, primary, *_ in slots:
            host = (primary[0] or b"").decode()
            # A node that does not know by which name it is reached says `?`, or nothing.
            host = teller.endpoint.host if host in {"", "?"} else host
            node = self._node(Endpoint(host, int(primary[1])))
            mapped[int(first) : int(last) + 1] = [node] * (int(last) - int(first) + 1)
        owners = list(dict.fromkeys(node for node in mapped if node is not None))
        former = [node for node in self._owners if node not in owners]
        changed = mapped != self._slots
        self._slots, self._owners = mapped, owners
        for node in former:
            log.warning("a node has no slots any more (failed over, or moved)", node=node.endpoint)
            if self._nodes.get(node.endpoint) is node:
                del self._nodes[node.endpoint]
            self._connector.running().start_soon(_retire, node)
        if changed:
            self._changed()

    def _changed(self) -> None:
        for listener in self.listeners:
            listener()


async def _retire(node: Node) -> None:
    await anyio.sleep(GRACE)
    node.retire()


async def _told(connection: BaseConnection) -> tuple[bool, int, Any]:
    """What a node says: whether the Cluster works, the newest epoch it knows, the map."""
    info = await reply(connection, b"CLUSTER", b"INFO", timeout=ANSWER)
    facts = dict(line.partition(b":")[::2] for line in info.split(b"\r\n") if line)
    slots = await reply(connection, b"CLUSTER", b"SLOTS", timeout=ANSWER)
    works = facts.get(b"cluster_state") == b"ok"
    return works, int(facts.get(b"cluster_current_epoch", 0)), slots
