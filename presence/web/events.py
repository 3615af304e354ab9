"""Server-sent events: a snapshot first, then what changes, to one page.

The format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import time
from typing import Final

import anyio
import msgspec
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

from bus.telemetry.journal import Journal
from presence.errors import TooManyViewers

from .board import Board
from .viewer import Viewer

log = Journal("argentbus.dashboard")

MEDIA_TYPE: Final = "text/event-stream; charset=utf-8"

#: Seconds of silence after which a heartbeat is sent, so that proxies keep the connection open and
#: the page knows that it still is.
HEARTBEAT: Final = 15.0
#: Seconds within which a page has to take what is sent to it; after that it is dropped.
PATIENCE: Final = 10.0
#: Fewest seconds between two messages: changes in between travel together.
PAUSE: Final = 0.1
#: Milliseconds after which a browser connects again.
RETRY: Final = 1000

_encode = msgspec.json.Encoder().encode


class EventStream:
    """The ASGI application behind `/events`.

    Args:
        board: What to show.
        patience: Seconds within which a page has to take a message.
        heartbeat: Seconds of silence after which a heartbeat is sent.
    """

    def __init__(
        self, board: Board, *, patience: float = PATIENCE, heartbeat: float = HEARTBEAT
    ) -> None:
        self._board = board
        self._patience = patience
        self._heartbeat = heartbeat
        self._open: set[anyio.CancelScope] = set()

    def close(self) -> None:
        """End all streams, so that the server can stop."""
        for scope in self._open:
            scope.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one page until it goes, is too slow, or the server stops."""
        if scope["method"] == "HEAD":
            await Response(media_type=MEDIA_TYPE)(scope, receive, send)
            return
        async with anyio.create_task_group() as tasks:

            async def until_gone() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                tasks.cancel_scope.cancel()

            tasks.start_soon(until_gone)
            try:
                with self._board.viewer() as viewer:
                    await self._serve(viewer, send)
            except TooManyViewers as error:
                await PlainTextResponse(str(error), 503)(scope, receive, send)
            except TimeoutError:
                log.warning("a page that did not read was dropped", seconds=self._patience)
            except (OSError, ClientDisconnect) as error:
                log.debug("a page went away", error=error)
            tasks.cancel_scope.cancel()

    async def _serve(self, viewer: Viewer, send: Send) -> None:
        await self._begin(send)
        with anyio.CancelScope() as scope:
            self._open.add(scope)
            try:
                await self._talk(viewer, send)
            finally:
                self._open.discard(scope)
        await self._within(send, {"type": "http.response.body", "body": b"", "more_body": False})

    async def _talk(self, viewer: Viewer, send: Send) -> None:
        # The snapshot holds whatever waits for the viewer: made without a pause in between, nothing
        # is missed and nothing told twice.
        viewer.take(time.time())
        await self._send(send, "snapshot", _encode(self._board.snapshot()))
        while True:
            with anyio.move_on_after(self._heartbeat) as silence:
                await viewer.changed()
            if silence.cancelled_caught:
                await self._write(send, b": heartbeat\nevent: beat\ndata: {}\n\n")
                continue
            await self._send(send, "update", _encode(viewer.take(time.time())))
            await anyio.sleep(PAUSE)

    async def _begin(self, send: Send) -> None:
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
        ]
        await self._within(send, {"type": "http.response.start", "status": 200, "headers": headers})
        await self._write(send, f"retry: {RETRY}\n\n".encode())

    async def _send(self, send: Send, kind: str, data: bytes) -> None:
        await self._write(send, b"event: %b\ndata: %b\n\n" % (kind.encode(), data))

    async def _write(self, send: Send, body: bytes) -> None:
        await self._within(send, {"type": "http.response.body", "body": body, "more_body": True})

    async def _within(self, send: Send, message: Message) -> None:
        with anyio.fail_after(self._patience):
            await send(message)
