"""Which server a command goes to. Here: the only one; `sentinel.py` and `cluster.py` have more."""

from typing import NamedTuple, Protocol

from coredis.exceptions import AskError

from .connector import Connector
from .node import Node
from .slots import Key


class Destination(NamedTuple):
    """Where to send a command.

    Attributes:
        asking: Whether the node has to be told that the key is on its way to it.
    """

    node: Node
    asking: bool = False


class Route(Protocol):
    """Finds the server of a key, and follows when that changes."""

    async def start(self) -> None:
        """Find and reach a server once. Raises one of `TRANSIENT`."""

    async def locate(self, key: Key | None) -> Destination:
        """Where the key is; with None any server that takes writes. Raises one of `TRANSIENT`."""

    def redirected(self, error: AskError, by: Node, key: Key | None) -> Destination:
        """Where the key is, by the reply of a node that does not have it (any more)."""

    def on_its_way(self, key: Key) -> Destination | None:
        """Where the key was said to be moving to, a moment ago."""

    async def nodes(self) -> list[Node]:
        """All servers that take writes. Raises one of `TRANSIENT`."""

    async def replicas(self) -> list[Node]:
        """The replicas of those that can be found and run. Raises one of `TRANSIENT`."""

    def known(self) -> list[Node]:
        """Those that take writes and are known now."""

    async def watch(self) -> None:
        """Follow the servers until cancelled. A task of the link."""


class Direct:
    """The route to a single server."""

    def __init__(self, connector: Connector) -> None:
        self._node = Node(connector, connector.address.endpoints[0])

    async def start(self) -> None:
        await self._node.connection()

    async def locate(self, key: Key | None) -> Destination:
        return Destination(self._node)

    def redirected(self, error: AskError, by: Node, key: Key | None) -> Destination:
        # A server that belongs to no Cluster when it is connected to, but does now.
        raise error

    def on_its_way(self, key: Key) -> Destination | None:
        return None

    async def nodes(self) -> list[Node]:
        return [self._node]

    async def replicas(self) -> list[Node]:
        # What it says of them may be addresses that nobody else can reach.
        return []

    def known(self) -> list[Node]:
        return [self._node]

    async def watch(self) -> None:
        """Nothing to follow."""
