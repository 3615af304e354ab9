"""How one shell finds what `argentbus up` runs in another: `up.json` in the data directory.

Whether it still holds is told by a lock on the file beside it, which the system lets go with the
last process that has it: no process id has to be believed on its own.
"""

import contextlib
import fcntl
import os
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from storage.config import Source, StorageConfig

from .errors import DataDirectoryUnusable, NothingUp

FILE: Final = "up.json"
LOCK: Final = "up.lock"

_NOWHERE: Final = Source("running copy", "")

#: Seconds that a copy which is ending may take to let the directory go.
PATIENCE: Final = 10.0


class Running(msgspec.Struct, kw_only=True):
    """A running `argentbus up`.

    Attributes:
        pid: Its process.
        redis_url: The Redis that it uses; may contain a password.
        postgres_url: The PostgreSQL that it uses, if it does; may contain a password.
        embedded: Whether that Redis is its own.
        dashboard_url: Where the page is.
    """

    pid: int
    redis_url: str
    embedded: bool
    dashboard_url: str
    sqlite_path: str
    namespace: str
    backend: Literal["sqlite", "postgres"] = "sqlite"
    postgres_url: str | None = None


def locate(
    options: Mapping[str, Any] | None = None, env: Mapping[str, str] = os.environ
) -> StorageConfig:
    """Load the settings, with what a running copy says in place of the file and the defaults.

    Raises:
        storage.config.ConfigurationError: a setting is wrong.
    """
    config = StorageConfig.load(options, env)
    running = find(config.home)
    if running is None:
        return config
    found: dict[str, Any] = {}
    sources = dict(config.sources)
    for name in ("redis_url", "sqlite_path", "namespace"):
        if name not in sources or sources[name].layer == "file":
            value = getattr(running, name)
            found[name] = Path(value) if name == "sqlite_path" else value
            sources[name] = Source("running copy", str(config.home / FILE))
    if "backend" not in sources or sources["backend"].layer == "file":
        found |= {"backend": running.backend, "read_from": running.backend}
        found |= {"write_to": (running.backend,)}
        sources["backend"] = Source("running copy", str(config.home / FILE))
        if running.postgres_url is not None and sources.get("postgres_url", _NOWHERE).layer in {
            *("file", "running copy")
        }:
            found["postgres_url"] = running.postgres_url
            sources["postgres_url"] = Source("running copy", str(config.home / FILE))
    return msgspec.structs.replace(config, **found, sources=sources)


def check_redis_is_known(config: StorageConfig) -> None:
    """See that the Redis of `config` is that of the data directory which was asked for.

    Where a directory is named, nothing runs on it and no Redis is named either, what is left is the
    default address, at which another copy may well be up.

    Raises:
        NothingUp: it would be that one.
    """
    if "home" in config.sources and "redis_url" not in config.sources:
        raise NothingUp(
            f"nothing is up on {config.home}: start it (`argentbus up --data "
            f"{shlex.quote(str(config.home))}`) or give --redis-url"
        )


def find(home: Path) -> Running | None:
    """Return what runs on the data directory `home`, or None; a stale `up.json` does not count."""
    try:
        running = msgspec.json.decode((home / FILE).read_bytes(), type=Running)
    except (OSError, msgspec.MsgspecError):
        return None
    return running if is_held(home) and _is_alive(running.pid) else None


def announce(home: Path, running: Running) -> None:
    """Write `up.json`, readable by its owner alone."""
    text = msgspec.json.format(msgspec.json.encode(running), indent=2) + b"\n"
    temporary = home / f"{FILE}.new"
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
    temporary.replace(home / FILE)


def withdraw(home: Path) -> None:
    """Remove `up.json`."""
    (home / FILE).unlink(missing_ok=True)


@contextmanager
def held(home: Path) -> Iterator[int]:
    """Hold the data directory for this process, and for those that inherit the descriptor.

    Yields:
        The descriptor to hand to a process that writes in the directory on its own account.

    Raises:
        DataDirectoryUnusable: it cannot be made or written, or another copy holds it.
    """
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(home / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise DataDirectoryUnusable(
            f"cannot write in the data directory {home}: {error.strerror}; choose another with "
            "--data or ARGENTBUS_HOME"
        ) from None
    try:
        _acquire(home, descriptor)
        withdraw(home)
        yield descriptor
    finally:
        os.close(descriptor)


def _acquire(home: Path, descriptor: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            running = find(home)
            if running is not None:
                raise DataDirectoryUnusable(
                    f"argentbus is already up on {home}: dashboard {running.dashboard_url}, "
                    f"process {running.pid}; stop it there, or start another copy with --data, "
                    "--port and --dashboard-port"
                ) from None
            if time.monotonic() > deadline:
                raise DataDirectoryUnusable(
                    f"a process of an earlier copy still uses {home} (see `lsof {home / LOCK}`): "
                    "end it, or choose another directory with --data"
                ) from None
            # Starting, or ending: wait until it says where it is, or is gone.
            time.sleep(0.05)
        except OSError as error:
            raise DataDirectoryUnusable(
                f"cannot lock {home / LOCK}: {error.strerror}; choose a directory on a local disk "
                "with --data"
            ) from None
        else:
            return


def is_held(home: Path) -> bool:
    """Return whether some process holds the data directory `home`."""
    with contextlib.suppress(FileNotFoundError), (home / LOCK).open("rb") as file:
        try:
            # Shared, so that those who only look do not see each other.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's, but there
    return True
