"""The master keys: the one that encrypts, and those before it that still decrypt."""

import os
import re
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from storage.errors import MasterKeyUnusable, SecretUnreadable

from .sealing import KEY, seal, unseal

#: The variable that may have the keys themselves.
KEY_VARIABLE: Final = "ARGENTBUS_MASTER_KEY"

_KEY: Final = re.compile(rf"[0-9a-fA-F]{{{2 * KEY}}}")


class Keyring:
    """Master keys, as lines of 64 hex digits: the first encrypts, all decrypt.

    A key is changed by putting a new one on top of the file, on every machine, then
    `argentbus secrets rotate`, and then removing the old one. A file is read when it is first
    needed, and again when it has changed: nothing has to be started anew.

    Args:
        path: Of the file: its owner's alone (mode 0600).
        text: The keys themselves, where there is no file; spaces may stand for new lines.
    """

    def __init__(self, path: Path | None = None, *, text: str | None = None) -> None:
        self._path = path
        self._seen: tuple[int, ...] | None = None
        self._keys = () if text is None else _parsed(text, KEY_VARIABLE)

    @classmethod
    def of(cls, path: Path | None, env: Mapping[str, str] = os.environ) -> "Keyring | None":
        """The keys in `ARGENTBUS_MASTER_KEY`, or in the file; None where neither is set.

        Raises:
            MasterKeyUnusable: the variable has something else.
        """
        if text := env.get(KEY_VARIABLE):
            return cls(text=text)
        return None if path is None else cls(path)

    def __repr__(self) -> str:
        return f"Keyring({self.where})"

    @property
    def where(self) -> str:
        """Where the keys are, for people to read."""
        return KEY_VARIABLE if self._path is None else str(self._path)

    def seal(self, identity: str, clear: str) -> str:
        """Encrypt with the first key.

        Raises:
            MasterKeyUnusable: the keys cannot be read.
        """
        return seal(self._current()[0], identity, clear)

    def unseal(self, identity: str, sealed: str) -> str:
        """Decrypt with whichever key it was encrypted with.

        Raises:
            MasterKeyUnusable: the keys cannot be read.
            SecretUnreadable: none of them opens it.
        """
        for key in self._current():
            clear = unseal(key, identity, sealed)
            if clear is not None:
                return clear
        raise SecretUnreadable(
            f"{identity} cannot be decrypted: it was encrypted with another master key than those "
            f"in {self.where}, or changed since. Nothing is lost: add the key that it was "
            "encrypted with as a further line"
        )

    def is_current(self, identity: str, sealed: str) -> bool:
        """Whether the first key opens it."""
        return unseal(self._current()[0], identity, sealed) is not None

    def _current(self) -> tuple[bytes, ...]:
        if self._path is not None:
            try:
                found = self._path.stat()
                seen = (found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode)
                if seen != self._seen:
                    _check_mode(self._path, found)
                    text = self._path.read_text(encoding="ascii")
                    self._keys, self._seen = _parsed(text, str(self._path)), seen
            except OSError as error:
                raise MasterKeyUnusable(f"{self._path}: cannot be read: {error.strerror}") from None
            except UnicodeDecodeError:
                raise MasterKeyUnusable(f"{self._path}: has no keys, but is binary") from None
        return self._keys


def new_key() -> str:
    """A new master key, as a line for the file."""
    return secrets.token_hex(KEY)


def _check_mode(path: Path, found: os.stat_result) -> None:
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise MasterKeyUnusable(f"{path} is open to others: `chmod 600 {path}`")


def _parsed(text: str, where: str) -> tuple[bytes, ...]:
    """The keys in a text; no message has any of it."""
    words = [
        word for line in text.splitlines() if not line.lstrip().startswith("#")
        for word in line.split()
    ]  # fmt: skip
    for number, word in enumerate(words, 1):
        if not _KEY.fullmatch(word):
            raise MasterKeyUnusable(
                f"{where}: key {number} is not of {2 * KEY} hex digits: make one with "
                "`argentbus secrets new-key`"
            )
    if not words:
        raise MasterKeyUnusable(
            f"{where}: has no key in it: make one with `argentbus secrets new-key`"
        )
    return tuple(bytes.fromhex(word) for word in words)
