"""Lua scripts: files beside the modules that use them, run by their hash."""

import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Final


class Script:
    """A Lua script that ships with the bus.

    Args:
        name: Its room and file: `queues/put` is `bus/queues/lua/put.lua`.
        before: Names of files with functions that the script uses; they are put before it, since
            Redis has no way for one script to load another.
    """

    __slots__ = ("name", "sha", "text")

    def __init__(self, name: str, *before: str) -> None:
        self.name: Final = name
        self.text: Final = b"".join(_text(part) for part in (*before, name))
        self.sha: Final = hashlib.sha1(self.text, usedforsecurity=False).hexdigest().encode()

    def __repr__(self) -> str:
        return f"Script({self.name!r})"


Argument = str | bytes | int | float
Arguments = Sequence[Argument]


def _text(name: str) -> bytes:
    room, _, file = name.partition("/")
    return files("bus").joinpath(room, "lua", f"{file}.lua").read_bytes()
