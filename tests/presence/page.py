"""A page without a browser: one request to `/events`, on any backend."""

import json
from collections.abc import AsyncIterator, Mapping, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
from starlette.types import ASGIApp, Message

_NONE: Mapping[str, str] = {}


class Page:
    """What a page has been told. `hung` makes it stop reading, as a frozen browser does."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.comments = 0
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self.hung = False
        self.ended = False
        self._gone = anyio.Event()
        self._asked = False
        self._text = ""

    @asynccontextmanager
    async def open(
        self, app: ASGIApp, host: str = "127.0.0.1:8377", headers: Mapping[str, str] = _NONE
    ) -> AsyncIterator["Page"]:
        """Ask for `/events`, and go away with the context."""
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "path": "/events",
            "raw_path": b"/events",
            "root_path": "",
            "scheme": "http",
            "query_string": b"",
            "headers": [
                (b"host", host.encode()),
                *((name.encode(), value.encode()) for name, value in headers.items()),
            ],
        }

        async def serve() -> None:
            await app(scope, self._receive, self._send)
            self.ended = True

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            try:
                yield self
            finally:
                self._gone.set()

    def all(self, field: str) -> list[Any]:
        """The items of all messages under `field`, in order."""
        return [item for _, message in self.messages for item in message.get(field) or []]

    def last(self, field: str) -> Any:
        """What was last said under `field`."""
        said = [message[field] for _, message in self.messages if message.get(field) is not None]
        return said[-1] if said else None

    async def _receive(self) -> MutableMapping[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self.hung:
            await anyio.sleep_forever()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        self._text += message["body"].decode()
        *blocks, self._text = self._text.split("\n\n")
        for block in blocks:
            self._take(block)

    def _take(self, block: str) -> None:
        lines = block.split("\n")
        self.comments += sum(line.startswith(":") for line in lines)
        fields = dict(line.split(": ", 1) for line in lines if not line.startswith(":"))
        if "data" in fields:
            self.messages.append((fields["event"], json.loads(fields["data"])))
