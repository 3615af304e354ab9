"""Secrets: stored encrypted, handed out to whom they are for, and every use put down."""

from collections.abc import Sequence
from typing import Any

from storage.errors import InvalidValue, SecretRefused
from storage.model import values
from storage.model.secrets import (
    MOST_SECRET,
    AuthCredential,
    CredentialInfo,
    EnableSecret,
    PutCredential,
    PutServiceKey,
    SecretUse,
    ServiceKey,
    ServiceKeyInfo,
    UseSecret,
    identity_of,
)

from .reads import Taken
from .rotation import MasterKeys
from .secret import Secret


class Secrets(MasterKeys):
    """What one agent may do with secrets.

    They are encrypted and decrypted here, where the master key has to be
    (`ARGENTBUS_MASTER_KEY_FILE`, or `keyring=`); neither the bus nor the sidecar nor the database
    has it, or any clear text.
    """

    async def put(
        self,
        variable: str,
        value: str,
        *,
        name: str | None = None,
        service: str | None = None,
        category: str | None = None,
        source: str | None = None,
        allowed_agents: Sequence[str] | None = None,
        allowed_roles: Sequence[str] | None = None,
        allowed_teams: Sequence[str] | None = None,
        deny_all: bool | None = None,
    ) -> None:
        """Store a service key, or a new value of one; of that, what is not given stays as it is.

        Args:
            variable: Its name, such as `OPENAI_API_KEY`.
            value: The secret, up to 100,000 bytes.
            name: For people; the variable where none is given.
            allowed_agents: Who may use it, with `allowed_roles` and `allowed_teams` (by id): who is
                in one of them. All empty: every agent, which only operators say. An agent that
                gives none stores it for itself.
            deny_all: Only operators may use it.

        Raises:
            InvalidValue: a value that no table may hold.
            MasterKeyMissing, MasterKeyUnusable: it cannot be encrypted here.
            CommandRefused: it is there already and not this agent's to change, or it would not be
                for this agent by name (over the bus it is set aside instead).
        """
        values.text("variable", variable, least=1, most=256)
        moment = values.now()
        columns = {
            "name": name,
            "service": service,
            "category": category,
            "source": source,
            "allowed_agents": _listed("allowed_agents", allowed_agents),
            "allowed_roles": _listed("allowed_roles", allowed_roles),
            "allowed_teams": _listed("allowed_teams", allowed_teams),
            "deny_all": deny_all,
        }
        given: dict[str, Any] = {k: v for k, v in columns.items() if v is not None}
        of_new: dict[str, Any] = {"name": variable}
        if self.agent:
            of_new |= {"allowed_agents": [self.agent]}
        key = ServiceKey(
            id=values.new_id(),
            variable=variable,
            encrypted_value=self._sealed("service_key", variable, value),
            created_at=moment,
            updated_at=moment,
            **(of_new | given),
        )
        await self._port.write(
            PutServiceKey(
                by=self.agent, use_id=values.new_id(), at=moment, key=key, given=list(given)
            )
        )

    async def put_credential(
        self,
        profile_id: str,
        payload: str,
        *,
        provider: str,
        credential_type: str,
        email: str | None = None,
    ) -> None:
        """Store a credential, or a new payload of one, as an operator.

        Args:
            profile_id: Its name, such as `anthropic:default`.
            payload: The secret, up to 100,000 bytes.
            credential_type: api_key, oauth or token.

        Raises:
            InvalidValue: a value that no table may hold.
            MasterKeyMissing, MasterKeyUnusable: it cannot be encrypted here.
            CommandRefused: this is not an operator.
        """
        values.text("profile_id", profile_id, least=1, most=256)
        moment = values.now()
        credential = AuthCredential(
            id=values.new_id(),
            profile_id=profile_id,
            provider=provider,
            credential_type=credential_type,
            encrypted_payload=self._sealed("auth_credential", profile_id, payload),
            email=email,
            created_at=moment,
            updated_at=moment,
        )
        given = ["provider", "credential_type", *(["email"] if email is not None else [])]
        await self._port.write(
            PutCredential(
                by=self.agent,
                use_id=values.new_id(),
                at=moment,
                credential=credential,
                given=given,
            )
        )

    async def get(self, variable: str) -> Secret:
        """A service key, if this agent may use it. That it was asked for is put down.

        Raises:
            SecretRefused: there is none, it is disabled, or it is not for this agent.
            MasterKeyMissing, MasterKeyUnusable: it cannot be decrypted here.
            SecretUnreadable: it was encrypted with another master key.
        """
        return await self._taken("service_key", variable)

    async def get_credential(self, profile_id: str) -> Secret:
        """A credential, as an operator. That it was asked for is put down.

        Raises:
            SecretRefused: there is none, it is disabled, or this is not an operator.
            MasterKeyMissing, MasterKeyUnusable, SecretUnreadable: it cannot be decrypted here.
        """
        return await self._taken("auth_credential", profile_id)

    async def list_keys(self) -> list[ServiceKeyInfo]:
        """The service keys that this agent may use, without their values; for operators all."""
        found: list[ServiceKeyInfo] = await self._port.read("secrets", "list_keys")
        return found

    async def list_credentials(self) -> list[CredentialInfo]:
        """The credentials, without their payloads, for operators; for agents none."""
        found: list[CredentialInfo] = await self._port.read("secrets", "list_credentials")
        return found

    async def list_uses(
        self,
        *,
        name: str | None = None,
        agent_id: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[SecretUse]:
        """Uses, the newest first: this agent's own; for operators all, with the reasons."""
        found: list[SecretUse] = await self._port.read(
            "secrets", "list_uses", name=name, agent_id=agent_id, limit=limit, offset=offset
        )
        return found

    async def disable(self, name: str, *, kind: str = "service_key") -> None:
        """Let nobody use a secret until it is enabled again, as an operator.

        Args:
            name: The variable, or the profile.
            kind: service_key or auth_credential.

        Raises:
            CommandRefused: there is none, or this is not an operator.
        """
        await self._enable(name, kind, enabled=False)

    async def enable(self, name: str, *, kind: str = "service_key") -> None:
        """Let a secret be used again, as an operator (see `disable`)."""
        await self._enable(name, kind, enabled=True)

    async def _enable(self, name: str, kind: str, *, enabled: bool) -> None:
        await self._port.write(
            EnableSecret(
                by=self.agent,
                use_id=values.new_id(),
                at=values.now(),
                kind=kind,
                name=name,
                enabled=enabled,
            )
        )

    async def _taken(self, kind: str, name: str) -> Secret:
        keyring = self._keyring("read")
        use_id = values.new_id()
        await self._port.write(
            UseSecret(by=self.agent, use_id=use_id, at=values.now(), kind=kind, name=name)
        )
        taken: Taken | None = await self._port.read("secrets", "taken", use_id=use_id)
        if taken is None or taken.sealed is None:
            what = f"{kind.replace('_', ' ')} {name}"
            raise SecretRefused(
                f"{what} is not there, is disabled, or is not for {self.agent or 'operators'}: "
                "`argentbus secrets audit` says which"
            )
        return Secret(keyring.unseal(identity_of(kind, name), taken.sealed))

    def _sealed(self, kind: str, name: str, clear: str) -> str:
        values.text("value", clear, least=1, most=MOST_SECRET)
        if len(clear.encode()) > MOST_SECRET:
            raise InvalidValue("value", f"is longer than {MOST_SECRET:,} bytes")
        return self._keyring("store").seal(identity_of(kind, name), clear)


def _listed(field: str, names: Sequence[str] | None) -> list[str] | None:
    if isinstance(names, str):
        raise InvalidValue(field, "is text, and must be a list of texts")
    return None if names is None else list(names)
