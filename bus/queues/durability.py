"""How safe a message has to be before its put returns: asked for, put by put."""

from typing import Any, Final

import msgspec
from coredis.connection import BaseConnection

from bus.arguments import seconds, whole
from bus.errors import NotDurable, ServerRefused, UnsupportedServer
from bus.servers.link import Link

#: The first version that has WAITAOF.
_WAITAOF: Final = (7, 2)


class Durability(msgspec.Struct, frozen=True, kw_only=True):
    """What a put waits for. Use `FSYNCED` or `replicated(n)`.

    Redis is asked to wait, on a connection of its own: puts without a wish do not stall, and those
    with the same wish share the waits. What is promised is what Redis's WAIT and WAITAOF promise:
    so many copies existed when the put returned. A failover may still choose a replica that was not
    among them; ask for as many as there are, or for a majority with Sentinel, where that matters.

    Attributes:
        fsynced: Whether the server must have it in its append-only file, on disk.
        replicas: How many replicas must have it: in memory, or on disk where `fsynced`.
        timeout: Seconds to wait for that, once the message is in the stream.

    Example:
        reviews = bus.queue("reviews", Review)
        safest: Durability = replicated(1, fsynced=True, timeout=0.1)  # on a replica's disk, too
        try:
            await reviews.put(Review("lexer.py"), durability=FSYNCED)  # on the server's disk by now
            await reviews.put(Review("parser.py"), durability=safest)
        except UnsupportedServer:  # older than Redis 7.2: it was not put
            await reviews.put(Review("parser.py"))
        except NotDurable as error:  # it is in the queue all the same: do not put it again
            print(error.fsynced, error.replicas)  #> True 0
    """

    fsynced: bool = False
    replicas: int = 0
    timeout: float = 5.0

    def __post_init__(self) -> None:
        whole("replicas", self.replicas, least=0 if self.fsynced else 1, most=1000)
        seconds("timeout", self.timeout, least=0.001)

    def check(self, link: Link) -> None:
        """Raise `UnsupportedServer` where the server cannot be asked for this."""
        if self.fsynced and link.server_version < _WAITAOF:
            version = ".".join(str(n) for n in link.server_version)
            raise UnsupportedServer(
                f"the server at {link.address} is {version}: `fsynced` needs WAITAOF, which Redis "
                "has from 7.2 on; put without it, or with `replicated(n)`"
            )

    async def wait(self, link: Link, connection: BaseConnection) -> NotDurable | None:
        """Wait for what was last written on `connection`; return what is amiss.

        Raises one of `TRANSIENT` when the connection breaks.
        """
        command: tuple[bytes | int, ...] = (
            (b"WAITAOF", 1, self.replicas) if self.fsynced else (b"WAIT", self.replicas)
        )
        try:
            reply: Any = await link.ask(
                connection,
                bytes(command[0]),
                *command[1:],
                max(1, int(self.timeout * 1000)),
                timeout=self.timeout + link.reply_timeout,
                blocking=True,
            )
        except ServerRefused as error:
            return NotDurable(f"the message is in the stream, but cannot be waited for: {error}")
        local, replicas = reply if self.fsynced else (1, reply)
        if local >= 1 and replicas >= self.replicas:
            return None
        had = "the server has it on disk" if self.fsynced and local else "not on the server's disk"
        return NotDurable(
            f"within {self.timeout:g} s {replicas} of {self.replicas} replicas had the message"
            + (f", {had}" if self.fsynced else "")
            + ": it is in the stream nevertheless, and will be delivered; do not put it again",
            fsynced=bool(self.fsynced and local),
            replicas=replicas,
        )


#: The server has fsynced its append-only file (WAITAOF 1 0; Redis 7.2 or newer).
#: Example: See `Durability`.
FSYNCED: Final = Durability(fsynced=True)


def replicated(replicas: int, *, fsynced: bool = False, timeout: float = 5.0) -> Durability:
    """A durability of so many replicas (WAIT; with `fsynced` WAITAOF, on their disks and ours).

    Args:
        timeout: Seconds to wait for them, once the message is in the stream.

    Example: See `Durability`.
    """
    return Durability(fsynced=fsynced, replicas=replicas, timeout=timeout)
