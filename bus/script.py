"""Lua scripts: files beside this module, run by their hash."""

import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Final


class Script:
    """A Lua script that ships with the bus.

    Args:
        name: File name in `bus/lua`, without its ending.
        before: Names of files with functions that the script uses; they are put before it, since
            Redis has no way for one script to load another.
    """

    __slots__ = ("name", "sha", "text")

    def __init__(self, name: str, *before: str) -> None:
        self.name: Final = name
        folder = files(__package__).joinpath("lua")
        self.text: Final = b"".join(
            folder.joinpath(f"{part}.lua").read_bytes() for part in (*before, name)
        )
        self.sha: Final = hashlib.sha1(self.text, usedforsecurity=False).hexdigest().encode()

    def __repr__(self) -> str:
        return f"Script({self.name!r})"


Argument = str | bytes | int | float
Arguments = Sequence[Argument]
