"""`argentbus dashboard`: the live page."""

import errno
import signal
import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import anyio
import click

from argentbus.errors import PortTaken
from argentbus.loop import run
from argentbus.options import with_config
from argentbus.telemetry import exporting
from bus import Bus
from storage.config import StorageConfig

PORT: Final = 8377

#: Seconds that requests which are being answered may take when the server is told to stop.
LAST_ANSWERS: Final = 3


@click.command()
@with_config
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    metavar="NAME",
    help="Answer to this name too, besides localhost. May be given several times.",
)
def dashboard(config: StorageConfig, host: str, port: int, allow_hosts: tuple[str, ...]) -> None:
    """Serve a page that shows who is on the bus and what happens, live.

    Nobody is asked for a password: whoever can reach the address can read the page. It listens
    on this machine alone unless --host says otherwise.
    """
    # A missing package is reported before anything has been started.
    import starlette  # noqa: F401
    import uvicorn  # noqa: F401

    with _listening(host, port) as listener, exporting("dashboard"):
        run(_serve, config, listener, (host, *allow_hosts))


async def _serve(
    config: StorageConfig, listener: socket.socket, allow_hosts: tuple[str, ...]
) -> None:
    import uvicorn

    from presence.web import Board, create_app
    from presence.web.events import EventStream

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Generator[None]:
            yield  # they are received below: open pages have to be ended too

    async with (
        Bus.connect(config.redis_url, namespace=config.namespace) as bus,
        Board.open(bus) as board,
        anyio.create_task_group() as tasks,
    ):
        stream = EventStream(board)
        app = create_app(board, stream=stream, allow_hosts=allow_hosts)
        server = Server(
            uvicorn.Config(
                app,
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=LAST_ANSWERS,
            )
        )

        async def stop_on_signal() -> None:
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as told:
                click.echo(f"Dashboard: {_url(listener)}  ({bus.namespace} on {bus.link.address})")
                async for _ in told:
                    server.should_exit = True
                    stream.close()

        tasks.start_soon(stop_on_signal)
        await server.serve(sockets=[listener])
        tasks.cancel_scope.cancel()


@contextmanager
def _listening(host: str, port: int) -> Generator[socket.socket]:
    """A socket that listens on `host` and `port`.

    Raises:
        PortTaken: somebody else does.
        click.BadParameter: it is not an address of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise click.BadParameter(
            f"{host!r} is not an address ({error.strerror}): use 127.0.0.1 to be reached from this "
            "machine alone",
            param_hint="--host",
        ) from None
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(128)
        except OSError as error:
            raise _refused(error, host, port) from None
        yield listener


def _refused(error: OSError, host: str, port: int) -> Exception:
    if error.errno == errno.EADDRINUSE:
        return PortTaken(
            f"port {port} of {host} is taken, perhaps by another dashboard: look at "
            f"http://{host}:{port}/, or choose another with --port (0 takes a free one)"
        )
    if error.errno == errno.EACCES:
        return PortTaken(f"port {port} is for root alone: choose one above 1023 with --port")
    return click.BadParameter(
        f"cannot listen on {host} ({error.strerror}): use an address of this machine",
        param_hint="--host",
    )


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
