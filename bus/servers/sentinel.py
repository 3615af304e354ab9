"""The primary behind sentinels: found, and followed when another server takes its place.

All sentinels of the URL are asked at once, and of those that answer, the one with the newest
configuration (the highest `config-epoch`) is believed: a sentinel that was cut off from the others
still names the old primary. What it names has to say itself that it is a primary before anything
is sent there. An old primary that comes back is a replica soon, but for some seconds it does not
know; the sentinels do.
"""

from typing import Any, Final

import anyio
from coredis.exceptions import AskError

from bus.errors import BusError, UnsupportedServer
from bus.telemetry.journal import Journal

from .address import Endpoint
from .connector import Connector, reply
from .faults import AWAY, TRANSIENT, NotReady
from .node import Node, Shared
from .route import Destination
from .slots import Key

log = Journal("argentbus.link")

#: Seconds between two looks at whom the sentinels name, also while all seems well: where the
#: primary is cut off from everybody but us, what is written there will be lost.
LOOK_EVERY: Final = 1.0

#: Seconds for which who starts waits for a primary that the sentinels name, and that is away.
FAILOVER: Final = 10.0

#: Seconds that a sentinel may take to answer.
ANSWER: Final = 2.0


class Sentinels:
    """The route to the primary that sentinels name."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._service = connector.address.service
        self._sentinels = [
            Node(connector, endpoint, to_sentinel=True) for endpoint in connector.address.endpoints
        ]
        self._primary: Node | None = None
        self._look: Shared[Node] = Shared(connector, self._find)
        self._trouble = anyio.Event()

    async def start(self) -> None:
        give_up = anyio.current_time() + FAILOVER
        while True:
            primary = await self._look.get()
            try:
                await primary.connection()
            except AWAY as error:
                # Until they agree that it is down, and on another one, they name the old one.
                if isinstance(error, NotReady) or anyio.current_time() >= give_up:
                    raise
                log.debug("the primary is away", service=self._service, error=error)
                await anyio.sleep(LOOK_EVERY / 4)
            else:
                return

    async def locate(self, key: Key | None) -> Destination:
        return Destination(self._primary or await self._look.get())

    def redirected(self, error: AskError, by: Node, key: Key | None) -> Destination:
        raise error

    def on_its_way(self, key: Key) -> Destination | None:
        return None

    async def nodes(self) -> list[Node]:
        return [(await self.locate(None)).node]

    async def replicas(self) -> list[Node]:
        errors: list[Exception] = []
        for sentinel in self._sentinels:
            try:
                connection = await sentinel.connection()
                rows: Any = await reply(
                    connection, b"SENTINEL", b"REPLICAS", self._service, timeout=ANSWER
                )
            except (*TRANSIENT, BusError) as error:
                errors.append(error)
                continue
            there = [_endpoint(row) for row in rows if b"down" not in _facts(row)[b"flags"]]
            return [Node(self._connector, place, replica=True) for place in there]
        raise errors[0]

    def known(self) -> list[Node]:
        return [self._primary] if self._primary is not None else []

    def _disturbed(self) -> None:
        self._trouble.set()

    async def watch(self) -> None:
        """Look whether another server is the primary, every second and whenever it is away."""
        while True:
            with anyio.move_on_after(LOOK_EVERY):
                await self._trouble.wait()
            self._trouble = anyio.Event()
            try:
                await self._look.get()
            except AWAY as error:
                log.debug(
                    "looking for the primary was interrupted", service=self._service, error=error
                )
            except BusError as error:
                log.warning("the primary cannot be found", service=self._service, error=error)

    async def _find(self) -> Node:
        endpoint = await self._named()
        before = self._primary
        if before is None or before.endpoint != endpoint:
            self._primary = Node(self._connector, endpoint, self._disturbed)
            if before is not None:
                log.warning(
                    "another server is the primary now",
                    service=self._service,
                    node=endpoint,
                    before=before.endpoint,
                )
                before.retire()
        assert self._primary is not None
        return self._primary

    async def _named(self) -> Endpoint:
        answers: list[tuple[int, Endpoint]] = []
        errors: list[Exception] = []
        enough = len(self._sentinels) // 2 + 1

        async def ask(sentinel: Node) -> None:
            try:
                answers.append(await self._answer(sentinel))
            except (*TRANSIENT, BusError) as error:
                errors.append(error)
            if len(answers) >= enough:
                tasks.cancel_scope.cancel()

        with anyio.move_on_after(ANSWER):
            async with anyio.create_task_group() as tasks:
                for sentinel in self._sentinels:
                    tasks.start_soon(ask, sentinel)
        if answers:
            return max(answers)[1]
        final = [error for error in errors if not isinstance(error, AWAY)]
        if final:
            raise final[0]
        raise NotReady(
            f"none of the sentinels {', '.join(str(node.endpoint) for node in self._sentinels)} "
            "answers"
        ) from (errors[0] if errors else None)

    async def _answer(self, sentinel: Node) -> tuple[int, Endpoint]:
        connection = await sentinel.connection()
        try:
            said: Any = await reply(
                connection, b"SENTINEL", b"MASTER", self._service, timeout=ANSWER
            )
        except TRANSIENT:
            raise
        except Exception as error:
            if "No such master" not in str(error):
                raise
            raise UnsupportedServer(
                f"the sentinel at {sentinel.endpoint} knows no service {self._service}: name the "
                "one of its `sentinel monitor` line in the URL"
            ) from error
        return int(_facts(said).get(b"config-epoch", 0)), _endpoint(said)


def _facts(said: Any) -> dict[bytes, bytes]:
    return said if isinstance(said, dict) else dict(zip(said[::2], said[1::2], strict=False))


def _endpoint(said: Any) -> Endpoint:
    facts = _facts(said)
    return Endpoint(facts[b"ip"].decode(), int(facts[b"port"]))
