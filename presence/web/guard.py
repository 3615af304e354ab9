"""What every request passes: whose name it calls, what it may do, what the browser may load."""

from collections.abc import Iterable
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Names of this machine that no page elsewhere can be reached under.
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class Guard:
    """ASGI middleware that refuses foreign names and sets the security headers.

    A page of another site can have its own name resolve to 127.0.0.1 (DNS rebinding) and would
    then be allowed to read what is served here. Its requests carry its own name as `Host`: only
    names that are known to be ours are served.

    Args:
        app: What is guarded.
        allow_hosts: Names served besides the loopback ones, without ports.
    """

    def __init__(self, app: ASGIApp, allow_hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._hosts = LOOPBACK | {host.lower().strip("[]") for host in allow_hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-cache")
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        host = host_name(Headers(scope=scope).get("host", ""))
        if host not in self._hosts:
            return PlainTextResponse(
                "This dashboard does not answer to that name. Open it as http://127.0.0.1 with "
                "its port, or start it with --allow-host and the name.\n",
                421,
            )
        if scope["method"] not in {"GET", "HEAD"}:
            return PlainTextResponse("Only to be read.\n", 405, {"Allow": "GET, HEAD"})
        return None


def host_name(header: str) -> str:
    """The name in a `Host` header, in lower case, without port and brackets."""
    header = header.strip().lower()
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.rpartition(":")[0] if header.count(":") == 1 else header
