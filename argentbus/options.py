"""The options that every command shares, and the settings that come of them."""

import functools
import sys
from collections.abc import Callable
from typing import Any

import click
import msgspec

from .discovery import locate


def with_config(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--redis-url`, `--namespace` and `--data`, and `config` as its first argument.

    `config` is a `StorageConfig`: options win over the environment, that over a copy of
    `argentbus up` that runs on the data directory, that over the settings file.
    """

    @click.option("--redis-url", metavar="URL", help="Redis: redis://, rediss:// or unix://.")
    @click.option("--namespace", metavar="NAME", help="Prefix of every key.  [default: argent]")
    @click.option("--data", metavar="DIR", help="The data directory of `argentbus up`.")
    @functools.wraps(function)
    def command(
        *args: Any, redis_url: str | None, namespace: str | None, data: str | None, **kwargs: Any
    ) -> Any:
        config = locate({"redis_url": redis_url, "namespace": namespace, "home": data})
        return function(config, *args, **kwargs)

    return command


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def print_json(data: object) -> None:
    """Print `data` (Structs included) as one line of JSON."""
    sys.stdout.write(msgspec.json.encode(data).decode() + "\n")
    sys.stdout.flush()
