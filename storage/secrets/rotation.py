"""Changing the master key while secrets are being used."""

from typing import Final

import msgspec

from storage.domain import View
from storage.errors import MasterKeyMissing, SecretUnreadable
from storage.model import values
from storage.model.secrets import ResealSecret, identity_of

from .keyring import Keyring
from .reads import Sealed

#: How often a rotation looks for secrets that were stored under an old key meanwhile.
ROUNDS: Final = 5


class Rotated(msgspec.Struct, frozen=True):
    """What changing the master key came to.

    Attributes:
        resealed: Secrets that stand under the first key now, and did not before.
        current: Those that did already.
    """

    resealed: int
    current: int


class MasterKeys(View):
    """What an operator may do with the master key."""

    async def rotate(self) -> Rotated:
        """Encrypt under the first master key what still is under another, as an operator.

        Each secret is changed in a transaction of its own, and can be read all the while by who has
        both keys. What was interrupted is finished by doing it again.

        Raises:
            MasterKeyMissing, MasterKeyUnusable: there is nothing to encrypt with.
            SecretUnreadable: a secret is under none of the keys; nothing was changed then.
            SecretRefused: this is not an operator.
        """
        keyring = self._keyring("change the master key of")
        total, stale = await self._stale(keyring)
        resealed = 0
        for _ in range(ROUNDS):
            if not stale:
                break
            for one in stale:
                await self._reseal(keyring, one)
            resealed += len(stale)
            total, stale = await self._stale(keyring)
            resealed -= len(stale)
        if stale:
            raise SecretUnreadable(
                f"{len(stale)} secrets are stored under an old master key again and again: others "
                "still have it as their first; change the file everywhere, then rotate again"
            )
        return Rotated(resealed, total - resealed)

    async def _stale(self, keyring: Keyring) -> tuple[int, list[Sealed]]:
        """How many secrets there are, and those that are not under the first key.

        Raises:
            SecretUnreadable: one is under none.
        """
        found: list[Sealed] = await self._port.read("secrets", "sealed")
        stale = []
        for one in found:
            identity = identity_of(one.kind, one.name)
            if not keyring.is_current(identity, one.sealed):
                keyring.unseal(identity, one.sealed)
                stale.append(one)
        return len(found), stale

    async def _reseal(self, keyring: Keyring, one: Sealed) -> None:
        identity = identity_of(one.kind, one.name)
        await self._port.write(
            ResealSecret(
                by=self.agent,
                use_id=values.new_id(),
                at=values.now(),
                kind=one.kind,
                name=one.name,
                was=one.sealed,
                sealed=keyring.seal(identity, keyring.unseal(identity, one.sealed)),
            )
        )

    def _keyring(self, what: str) -> Keyring:
        if self._port.keyring is None:
            raise MasterKeyMissing(
                f"to {what} secrets, the master key has to be here: name its file in "
                "ARGENTBUS_MASTER_KEY_FILE (make one with `argentbus secrets new-key`), or give "
                "keyring=Keyring(path)"
            )
        return self._port.keyring
