"""Reads of secrets: encrypted values only for a use that is put down, and granted."""

from typing import Final

import msgspec

from storage import queries
from storage.database import Database
from storage.domain import Reads
from storage.errors import SecretRefused
from storage.model import values
from storage.model.secrets import (
    AuthCredential,
    CredentialInfo,
    SecretUse,
    ServiceKey,
    ServiceKeyInfo,
)
from storage.rows import Rows

from .policy import credential_refusal, refusal

SQL: Final = queries.load("storage.secrets", "secrets.sql")


class Taken(msgspec.Struct, frozen=True):
    """What a use came to.

    Attributes:
        sealed: The encrypted value, where it was granted.
    """

    sealed: str | None


class Sealed(msgspec.Struct, frozen=True):
    """A secret as it stands, for who changes the master key."""

    kind: str
    name: str
    sealed: str


class SecretReads(Reads):
    """Reads of secrets."""

    def __init__(self, database: Database, dimensions: int) -> None:
        super().__init__(database, dimensions)
        spelling = database.spelling
        self._keys = Rows(ServiceKey, spelling, "service_keys")
        self._infos = Rows(ServiceKeyInfo, spelling, "service_keys")
        self._credentials = Rows(AuthCredential, spelling, "auth_credentials")
        self._credential_infos = Rows(CredentialInfo, spelling, "auth_credentials")
        self._uses = Rows(SecretUse, spelling, "secret_uses")

    async def taken(self, agent: str, use_id: str) -> Taken | None:
        """What the agent's use `use_id` came to; None where it is not put down."""
        values.text("use_id", use_id)
        use = await self._one(agent, self._uses, SQL["use_of"], use_id)
        if use is None:
            return None
        if use.outcome != "granted":
            return Taken(None)
        # It was granted then; it may have been disabled, or the agent have left the team, since.
        if use.kind == "service_key":
            key = await self._one(agent, self._keys, SQL["read_key"], use.name)
            if key is None or refusal(key, agent, *await self._standing(agent)) is not None:
                return Taken(None)
            return Taken(key.encrypted_value)
        if agent:
            return Taken(None)
        one = await self._one(agent, self._credentials, SQL["read_credential"], use.name)
        if one is None or credential_refusal(one, agent) is not None:
            return Taken(None)
        return Taken(one.encrypted_payload)

    async def list_keys(self, agent: str) -> list[ServiceKeyInfo]:
        found = await self._all(agent, self._infos, SQL["list_keys"])
        if not agent:
            return found
        standing = await self._standing(agent)
        return [one for one in found if refusal(one, agent, *standing) is None]

    async def list_credentials(self, agent: str) -> list[CredentialInfo]:
        if agent:
            return []
        return await self._all(agent, self._credential_infos, SQL["list_credentials"])

    async def list_uses(
        self,
        agent: str,
        *,
        name: str | None = None,
        agent_id: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[SecretUse]:
        found = await self._all(
            agent,
            self._uses,
            SQL["list_uses"],
            values.text("name", name or ""),
            values.text("agent_id", agent_id or ""),
            values.at_most("limit", limit, 10_000),
            values.at_most("offset", offset, 2**53),
        )
        # Of what is not for an agent, it is not told either whether it is there.
        return [msgspec.structs.replace(one, reason=None) for one in found] if agent else found

    async def sealed(self, agent: str) -> list[Sealed]:
        if agent:
            raise SecretRefused("only operators change the master key: `argentbus secrets rotate`")
        rows = await self._database.fetch(SQL["sealed"], scope="")
        return [Sealed(*row) for row in rows]

    async def _standing(self, agent: str) -> tuple[str | None, list[str]]:
        """The role and the teams of an agent."""
        roles = await self._database.fetch(SQL["role_of"], agent, scope=agent)
        teams = await self._database.fetch(SQL["teams_of"], agent, scope=agent)
        return (roles[0][0] if roles else None), [str(row[0]) for row in teams]
