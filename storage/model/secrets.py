"""Secrets: service keys and credentials, encrypted before they come here, and their commands."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Final, Self

import msgspec

from storage.errors import InvalidValue

from . import values
from .command import Command

KINDS: Final = ("service_key", "auth_credential")
SOURCES: Final = ("manual", "org-sync", "env")
CREDENTIAL_TYPES: Final = ("api_key", "oauth", "token")

#: How a secret stands: initialisation vector, tag and ciphertext of AES-256-GCM, each in hex.
SEALED: Final = re.compile(r"enc:v1:([0-9a-f]{24}):([0-9a-f]{32}):((?:[0-9a-f]{2})*)")

#: Longest secret, in bytes.
MOST_SECRET: Final = 100_000

#: Most agents, roles or teams that a key names.
MOST_ALLOWED: Final = 1_000


class ServiceKeyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A service key without its value: what a list shows.

    Attributes:
        variable: Its name, such as `OPENAI_API_KEY`; unique.
        allowed_agents: Who may use it: these agents, agents of these roles, agents in these teams
            (by id). All three empty: every agent.
        deny_all: Only operators may use it, whatever the lists say.
    """

    id: str
    variable: str
    name: str
    service: str | None = None
    category: str | None = None
    enabled: bool = True
    source: str = "manual"
    allowed_roles: list[str] = []
    allowed_agents: list[str] = []
    allowed_teams: list[str] = []
    deny_all: bool = False
    created_at: datetime
    updated_at: datetime


class ServiceKey(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `service_keys`; see `ServiceKeyInfo`.

    Attributes:
        encrypted_value: `enc:v1:<iv>:<tag>:<ciphertext>` in hex, bound to the variable.
    """

    id: str
    variable: str
    name: str
    encrypted_value: str
    service: str | None = None
    category: str | None = None
    enabled: bool = True
    source: str = "manual"
    allowed_roles: list[str] = []
    allowed_agents: list[str] = []
    allowed_teams: list[str] = []
    deny_all: bool = False
    created_at: datetime
    updated_at: datetime


class CredentialInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A credential without its payload: what a list shows.

    Attributes:
        profile_id: Its name, such as `anthropic:default`; unique.
        credential_type: api_key, oauth or token.
    """

    id: str
    profile_id: str
    provider: str
    credential_type: str
    email: str | None = None
    enabled: bool = True
    last_used_at: datetime | None = None
    cooldown_until: datetime | None = None
    error_count: int = 0
    created_at: datetime
    updated_at: datetime


class AuthCredential(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `auth_credentials`, for operators; see `CredentialInfo`.

    Attributes:
        encrypted_payload: `enc:v1:<iv>:<tag>:<ciphertext>` in hex, bound to the profile.
    """

    id: str
    profile_id: str
    provider: str
    credential_type: str
    encrypted_payload: str
    email: str | None = None
    enabled: bool = True
    last_used_at: datetime | None = None
    cooldown_until: datetime | None = None
    error_count: int = 0
    created_at: datetime
    updated_at: datetime


class SecretUse(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `secret_uses`. Agents see their own.

    Attributes:
        agent_id: Whose use it was; empty for operators.
        kind: service_key or auth_credential.
        name: The variable, or the profile.
        outcome: granted, refused, stored, enabled, disabled or rotated.
        reason: Why it was refused; shown to operators only.
    """

    id: str
    agent_id: str
    kind: str
    name: str
    outcome: str
    reason: str | None = None
    at: datetime


class SecretCommand(Command, frozen=True, kw_only=True):
    """What is common to commands on secrets: each leaves a row in the audit.

    Attributes:
        use_id: Of that row.
    """

    # It is looked up who is in which team, which the commands of tasks change.
    area = "tasks"
    by_operators: ClassVar[bool] = True

    by: str
    use_id: str
    at: datetime

    @property
    def agent_id(self) -> str:
        return self.by

    def _check_use(self) -> None:
        values.text("use_id", self.use_id, least=1, most=128)
        values.known_moment("at", self.at)


class NamedSecretCommand(SecretCommand, frozen=True, kw_only=True):
    """One on a secret that is there.

    Attributes:
        kind: service_key or auth_credential.
        name: The variable, or the profile.
    """

    kind: str
    name: str

    def checked(self, dimensions: int) -> Self:
        self._check_use()
        values.one_of("kind", self.kind, KINDS)
        values.text("name", self.name, least=1, most=256)
        return self


class PutServiceKey(SecretCommand, frozen=True, kw_only=True, tag=True):
    """Store a service key, or a new value of one that is there.

    Attributes:
        given: Columns that are set of one that is there, beside its value; the others stay.
    """

    key: ServiceKey
    given: list[str] = msgspec.field(default_factory=list)

    def checked(self, dimensions: int) -> Self:
        self._check_use()
        key = self.key
        values.text("id", key.id, least=1, most=128)
        values.text("variable", key.variable, least=1, most=256)
        values.text("name", key.name, least=1, most=256)
        checked_sealed("encrypted_value", key.encrypted_value)
        for field in ("service", "category"):
            values.optional_text(field, getattr(key, field), most=256)
        for field in ("allowed_roles", "allowed_agents", "allowed_teams"):
            named = values.texts(field, getattr(key, field), most=128)
            if len(named) > MOST_ALLOWED:
                raise InvalidValue(field, f"has {len(named):,}, and at most {MOST_ALLOWED:,}")
        values.truth("enabled", key.enabled)
        values.truth("deny_all", key.deny_all)
        values.one_of("source", key.source, SOURCES)
        values.known_moment("created_at", key.created_at)
        values.known_moment("updated_at", key.updated_at)
        _check_given(self.given, KEY_COLUMNS)
        return self


class PutCredential(SecretCommand, frozen=True, kw_only=True, tag=True):
    """Store a credential, or a new payload of one that is there: for operators.

    Attributes:
        given: Columns that are set of one that is there, beside its payload; the others stay.
    """

    credential: AuthCredential
    given: list[str] = msgspec.field(default_factory=list)

    def checked(self, dimensions: int) -> Self:
        self._check_use()
        one = self.credential
        values.text("id", one.id, least=1, most=128)
        values.text("profile_id", one.profile_id, least=1, most=256)
        values.text("provider", one.provider, least=1, most=256)
        values.one_of("credential_type", one.credential_type, CREDENTIAL_TYPES)
        checked_sealed("encrypted_payload", one.encrypted_payload)
        values.optional_text("email", one.email, most=320)
        values.truth("enabled", one.enabled)
        values.moment("last_used_at", one.last_used_at)
        values.moment("cooldown_until", one.cooldown_until)
        values.whole("error_count", one.error_count, 0, 2**53)
        values.known_moment("created_at", one.created_at)
        values.known_moment("updated_at", one.updated_at)
        _check_given(self.given, CREDENTIAL_COLUMNS)
        return self


class UseSecret(NamedSecretCommand, frozen=True, kw_only=True, tag=True):
    """Ask for a secret. Whether it is granted is decided, and put down, where it is applied."""


class EnableSecret(NamedSecretCommand, frozen=True, kw_only=True, tag=True):
    """Let a secret be used, or no longer: for operators."""

    enabled: bool

    def checked(self, dimensions: int) -> Self:
        values.truth("enabled", self.enabled)
        return super().checked(dimensions)


class ResealSecret(NamedSecretCommand, frozen=True, kw_only=True, tag=True):
    """Put the same secret down under another master key: for operators.

    Attributes:
        was: How it stood: where it stands otherwise by now, it stays as it is.
        sealed: How it is to stand.
    """

    was: str
    sealed: str

    def checked(self, dimensions: int) -> Self:
        checked_sealed("was", self.was)
        checked_sealed("sealed", self.sealed)
        return super().checked(dimensions)


COMMANDS: Final = (PutServiceKey, PutCredential, UseSecret, EnableSecret, ResealSecret)

#: Columns that a second `put` may change.
KEY_COLUMNS: Final = (
    "name", "service", "category", "source", "allowed_roles", "allowed_agents", "allowed_teams",
    "deny_all",
)  # fmt: skip
CREDENTIAL_COLUMNS: Final = ("provider", "credential_type", "email")


def identity_of(kind: str, name: str) -> str:
    """What a secret is bound to when it is encrypted."""
    return f"{kind} {name}"


def _check_given(given: Sequence[str], columns: Sequence[str]) -> None:
    for column in values.texts("given", given, most=64):
        values.one_of("given", column, columns)


def checked_sealed(field: str, value: str) -> str:
    """Check that a value is encrypted: so no clear text gets into a command, and into a log by it.

    Raises:
        InvalidValue: it is not; the message has nothing of it.
    """
    if not SEALED.fullmatch(values.text(field, value, most=2 * MOST_SECRET + 100)):
        raise InvalidValue(field, "is not encrypted (`enc:v1:...`): use `secrets.put`")
    return value
