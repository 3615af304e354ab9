"""A server that speaks OpenAI's form of `/v1/embeddings`, and does what a test tells it to."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple


class Reply(NamedTuple):
    """What is answered: a status, a body (JSON where it is not bytes), headers."""

    status: int
    body: Any = b""
    headers: Mapping[str, str] = MappingProxyType({})


class Asked(NamedTuple):
    """What was asked."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


def vectors(asked: Asked, dimensions: int = 3) -> dict[str, Any]:
    """The answer to `asked`: the first number of each vector is the length of its text."""
    rest = [0.5] * (dimensions - 1)
    rows = [
        {"object": "embedding", "index": n, "embedding": [float(len(text)), *rest]}
        for n, text in enumerate(asked.body["input"])
    ]
    return {"object": "list", "data": rows, "model": asked.body["model"], "usage": {}}


class Server:
    """The server.

    Attributes:
        asked: All that was asked of it.
        replies: What to answer, one after the other: a function of what is asked, or a reply. None
            left: vectors.
        gate: While it is not set, nothing is answered.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[Asked] = []
        self.replies: list[Reply | Callable[[Asked], Any]] = []
        self.gate = threading.Event()
        self.gate.set()

    def reply(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        self.gate.wait(20)
        said = self.replies.pop(0) if self.replies else vectors
        return said if isinstance(said, Reply) else Reply(200, said(asked))


@contextmanager
def embeddings_server() -> Iterator[Server]:
    """The server, until the context ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = server.reply(Asked(self.path, headers, body))
            sent = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            try:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)
            except OSError:  # who asked has gone
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass

    with Quiet(("127.0.0.1", 0), Handler) as http:
        server = Server(f"http://127.0.0.1:{http.server_port}/v1")
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.gate.set()
            http.shutdown()
            thread.join()
