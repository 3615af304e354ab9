"""A TCP proxy before a Redis that cuts connections: before a request arrives, or before its reply
does."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import ByteStream, SocketAttribute


class Cutter:
    """Cuts at random while `chance` is above 0.

    Attributes:
        chance: That a chunk of bytes is the last of its connection.
        cuts: How many connections were cut.
        url: Where it listens.
    """

    def __init__(self, host: str, port: int, seed: int) -> None:
        self.chance = 0.0
        self.cuts = 0
        self.url = ""
        self._to = (host, port)
        self._random = random.Random(seed)

    async def serve(self, client: ByteStream) -> None:
        try:
            server = await anyio.connect_tcp(*self._to)
        except OSError:
            await client.aclose()
            return
        async with client, server, anyio.create_task_group() as tasks:

            async def pump(source: ByteStream, sink: ByteStream) -> None:
                try:
                    async for chunk in source:
                        if self._random.random() < self.chance:
                            self.cuts += 1
                            # Half of what was on its way still arrives, whoever sent it.
                            if self._random.random() < 0.5:
                                await sink.send(chunk)
                            break
                        await sink.send(chunk)
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                    pass
                tasks.cancel_scope.cancel()

            tasks.start_soon(pump, client, server)
            tasks.start_soon(pump, server, client)


@asynccontextmanager
async def cutting(port: int, *, seed: int = 1) -> AsyncIterator[Cutter]:
    """A proxy before 127.0.0.1:`port`."""
    cutter = Cutter("127.0.0.1", port, seed)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        cutter.url = f"redis://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, cutter.serve)
            yield cutter
            tasks.cancel_scope.cancel()
