"""The options that commands share, and the settings that come of them."""

import functools
import sys
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import click
import msgspec

from storage.config import StorageConfig

from .discovery import check_redis_is_known, locate

Command = Callable[..., Any]


class _Option(NamedTuple):
    flag: str
    metavar: str
    help: str


_OPTIONS: Final = {
    "redis_url": _Option(
        "--redis-url",
        "URL",
        "Redis: redis[s]://, unix://, redis+sentinel:// or redis+cluster://.",
    ),
    "namespace": _Option("--namespace", "NAME", "Prefix of every key.  [default: argent]"),
    "home": _Option("--data", "DIR", "The data directory of `argentbus up`."),
    "sqlite_path": _Option("--sqlite", "FILE", "The SQLite database."),
    "backend": _Option("--backend", "NAME", "sqlite or postgres.  [default: sqlite]"),
    "postgres_url": _Option("--postgres-url", "URL", "PostgreSQL, as the sidecar logs in."),
}

_DATABASE: Final = ("backend", "sqlite_path", "postgres_url")


def with_config(function: Command) -> Command:
    """Give a command `--redis-url`, `--namespace` and `--data`, and `config` as its first argument.

    `config` is a `StorageConfig`: options win over the environment, that over a copy of
    `argentbus up` that runs on the data directory, that over the settings file. It is no command's
    to guess a Redis for a directory that was named and on which nothing runs.
    """
    return with_settings(_with_redis(function))


def with_settings(function: Command) -> Command:
    """Like `with_config`, for commands that may do without a Redis."""
    return _asking_for(function, "redis_url", "namespace", "home")


def with_database_config(function: Command) -> Command:
    """Like `with_config`, with `--backend`, `--sqlite` and `--postgres-url` too.

    For commands that need the database only: what is stored in a directory on which nothing runs
    can be looked at.
    """
    return _asking_for(function, "redis_url", "namespace", *_DATABASE, "home")


def with_redis_and_database_config(function: Command) -> Command:
    """Like `with_database_config`, for commands that need a Redis as well."""
    return with_database_config(_with_redis(function))


def _with_redis(function: Command) -> Command:
    @functools.wraps(function)
    def command(config: StorageConfig, *args: Any, **kwargs: Any) -> Any:
        check_redis_is_known(config)
        return function(config, *args, **kwargs)

    return command


def _asking_for(function: Command, *names: str) -> Command:
    @functools.wraps(function)
    def command(*args: Any, **kwargs: Any) -> Any:
        given = {name: kwargs.pop(name) for name in names}
        # `argentbus queues --data DIR dead Q` means what `argentbus queues dead Q --data DIR` does.
        context = click.get_current_context().parent
        while context is not None:
            for name in names:
                given[name] = given[name] or context.params.get(name)
            context = context.parent
        return function(locate(given), *args, **kwargs)

    for name in reversed(names):
        flag, metavar, text = _OPTIONS[name]
        command = click.option(flag, name, metavar=metavar, help=text)(command)
    return command


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def print_json(data: object) -> None:
    """Print `data` (Structs included) as one line of JSON."""
    sys.stdout.write(msgspec.json.encode(data).decode() + "\n")
    sys.stdout.flush()
