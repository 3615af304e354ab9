"""A TCP proxy that cuts connections at random, also in the midst of a reply."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import anyio
from anyio.abc import SocketAttribute, SocketStream

_BROKEN = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, OSError)


class CuttingProxy:
    """Forwards to `url`; its own is `proxied`. Made by `cutting_proxy`.

    Attributes:
        cuts: Connections cut so far.
    """

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._live: list[tuple[SocketStream, SocketStream]] = []
        self.proxied = ""
        self.cuts = 0

    async def serve(self, client: SocketStream) -> None:
        try:
            server = await anyio.connect_tcp(self._target.hostname or "", self._target.port or 0)
        except OSError:
            await client.aclose()
            return
        pair = (client, server)
        self._live.append(pair)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._pump, client, server, tasks.cancel_scope)
                tasks.start_soon(self._pump, server, client, tasks.cancel_scope)
        finally:
            if pair in self._live:
                self._live.remove(pair)
            with anyio.CancelScope(shield=True):
                for stream in pair:
                    await anyio.aclose_forcefully(stream)

    async def _pump(
        self, source: SocketStream, target: SocketStream, scope: anyio.CancelScope
    ) -> None:
        try:
            async for data in source:
                await target.send(data)
        except _BROKEN:
            pass
        scope.cancel()

    async def cut(self) -> None:
        """Cut one connection."""
        if self._live:
            pair = self._live.pop(random.randrange(len(self._live)))
            self.cuts += 1
            for stream in pair:
                await anyio.aclose_forcefully(stream)

    async def cut_for(self, seconds: float, *, every: float = 0.03) -> None:
        """Cut one every so often, for so long."""
        with anyio.move_on_after(seconds):
            while True:
                await anyio.sleep(random.uniform(0, 2 * every))
                await self.cut()


@asynccontextmanager
async def cutting_proxy(url: str) -> AsyncIterator[CuttingProxy]:
    """A proxy before the server at `url`, until the context ends."""
    proxy = CuttingProxy(url)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        proxy.proxied = f"redis://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, proxy.serve)
            yield proxy
            tasks.cancel_scope.cancel()
