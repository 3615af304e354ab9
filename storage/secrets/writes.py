"""Applying commands on secrets within a transaction, each with its row in the audit."""

from collections.abc import Mapping
from typing import Any

from storage.database import Database, Transaction, Violation
from storage.domain import Way, Writes, each, taken
from storage.errors import NotFound
from storage.model.command import Command
from storage.model.secrets import (
    AuthCredential,
    EnableSecret,
    PutCredential,
    PutServiceKey,
    ResealSecret,
    SecretCommand,
    SecretUse,
    ServiceKey,
    UseSecret,
)
from storage.rows import Rows

from .policy import credential_refusal, put_refusal, refusal
from .reads import SQL


class SecretWrites(Writes):
    """Applies commands on secrets."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._keys = Rows(ServiceKey, database.spelling, "service_keys")
        self._credentials = Rows(AuthCredential, database.spelling, "auth_credentials")
        self._uses = Rows(SecretUse, database.spelling, "secret_uses")

    def ways(self) -> Mapping[type[Command], Way]:
        return {
            PutServiceKey: each(self._put_key),
            PutCredential: each(self._put_credential),
            UseSecret: each(self._use),
            EnableSecret: each(self._enable),
            ResealSecret: each(self._reseal),
        }

    async def _put_key(self, transaction: Transaction, command: PutServiceKey) -> None:
        new = command.key
        if not await self._begins(transaction, command, "service_key", new.variable):
            return
        known = await self._key(transaction, new.variable)
        changes = {column: getattr(new, column) for column in command.given}
        if command.by:
            reason = put_refusal(known, changes.get("allowed_agents"), new, command.by)
            if reason is not None:
                raise Violation(f"variable: {new.variable}: {reason}")
        if known is None:
            await self._insert(transaction, "create_key", self._keys.to_row(new))
        else:
            changes |= {"encrypted_value": new.encrypted_value, "updated_at": new.updated_at}
            await self._set(transaction, "service_key", new.variable, changes)
        await self._put_down(transaction, command, "service_key", new.variable, "stored")

    async def _put_credential(self, transaction: Transaction, command: PutCredential) -> None:
        new = command.credential
        _check_operator(command)
        if not await self._begins(transaction, command, "auth_credential", new.profile_id):
            return
        if await self._credential(transaction, new.profile_id) is None:
            await self._insert(transaction, "create_credential", self._credentials.to_row(new))
        else:
            changes = {column: getattr(new, column) for column in command.given}
            changes |= {"encrypted_payload": new.encrypted_payload, "updated_at": new.updated_at}
            await self._set(transaction, "auth_credential", new.profile_id, changes)
        await self._put_down(transaction, command, "auth_credential", new.profile_id, "stored")

    async def _use(self, transaction: Transaction, command: UseSecret) -> None:
        kind, name, agent = command.kind, command.name, command.by
        if not await self._begins(transaction, command, kind, name):
            return
        if kind == "service_key":
            key = await self._key(transaction, name)
            reason = refusal(key, agent, *await self._standing(transaction, agent))
        else:
            reason = credential_refusal(await self._credential(transaction, name), agent)
            if reason is None:
                await self._set(transaction, kind, name, {"last_used_at": command.at})
        outcome = "granted" if reason is None else "refused"
        await self._put_down(transaction, command, kind, name, outcome, reason)

    async def _enable(self, transaction: Transaction, command: EnableSecret) -> None:
        _check_operator(command)
        if not await self._begins(transaction, command, command.kind, command.name):
            return
        changes = {"enabled": command.enabled, "updated_at": command.at}
        await self._set(transaction, command.kind, command.name, changes)
        outcome = "enabled" if command.enabled else "disabled"
        await self._put_down(transaction, command, command.kind, command.name, outcome)

    async def _reseal(self, transaction: Transaction, command: ResealSecret) -> None:
        _check_operator(command)
        kind, name = command.kind, command.name
        if not await self._begins(transaction, command, kind, name):
            return
        if kind == "service_key":
            key = await self._key(transaction, name)
            column, stands = "encrypted_value", key.encrypted_value if key else None
        else:
            one = await self._credential(transaction, name)
            column, stands = "encrypted_payload", one.encrypted_payload if one else None
        if stands != command.was:  # somebody has stored another value since
            return
        await self._set(transaction, kind, name, {column: command.sealed})
        await self._put_down(transaction, command, kind, name, "rotated")

    async def _key(self, transaction: Transaction, variable: str) -> ServiceKey | None:
        rows = await transaction.fetch(SQL["find_key"] % self._keys.selected, variable)
        return self._keys.from_row(rows[0]) if rows else None

    async def _credential(self, transaction: Transaction, profile: str) -> AuthCredential | None:
        rows = await transaction.fetch(SQL["find_credential"] % self._credentials.selected, profile)
        return self._credentials.from_row(rows[0]) if rows else None

    async def _standing(self, transaction: Transaction, agent: str) -> tuple[str | None, list[str]]:
        """The role and the teams of an agent."""
        roles = await transaction.fetch(SQL["role_of"], agent)
        teams = await transaction.fetch(SQL["teams_of"], agent)
        return (roles[0][0] if roles else None), [str(row[0]) for row in teams]

    async def _insert(self, transaction: Transaction, statement: str, row: list[Any]) -> None:
        try:
            await transaction.fetch(SQL[statement], *row)
        except Violation as error:
            if ".id" in str(error):
                raise taken("secret", row[0]) from error
            raise

    async def _set(
        self, transaction: Transaction, kind: str, name: str, changes: Mapping[str, Any]
    ) -> None:
        rows: Rows[Any] = self._keys if kind == "service_key" else self._credentials
        sql = SQL["update_key" if kind == "service_key" else "update_credential"]
        if not await self._change(transaction, rows, sql, changes, name):
            raise NotFound(f"there is no {kind.replace('_', ' ')} {name}")

    async def _begins(
        self, transaction: Transaction, command: SecretCommand, kind: str, name: str
    ) -> bool:
        """Whether the command is carried out for the first time."""
        # What is decided by what is there must not be changed by another meanwhile.
        await transaction.hold(f"secrets.{kind}.{name}")
        rows = await transaction.fetch(SQL["find_use"] % self._uses.selected, command.use_id)
        if not rows:
            return True
        known = self._uses.from_row(rows[0])
        if (known.agent_id, known.kind, known.name, known.at) == (
            *(command.by, kind, name, command.at),
        ):
            return False
        raise Violation(f"use_id: there is another use {command.use_id} already")

    async def _put_down(
        self,
        transaction: Transaction,
        command: SecretCommand,
        kind: str,
        name: str,
        outcome: str,
        reason: str | None = None,
    ) -> None:
        use = SecretUse(
            id=command.use_id,
            agent_id=command.by,
            kind=kind,
            name=name,
            outcome=outcome,
            reason=reason,
            at=command.at,
        )
        await transaction.fetch(SQL["add_use"], *self._uses.to_row(use))


def _check_operator(command: SecretCommand) -> None:
    if command.by:
        raise NotFound(
            f"{command.by} may not do that with secrets, only operators: `argentbus secrets`"
        )
