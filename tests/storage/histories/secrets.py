"""Secrets: stored, used, disabled, encrypted anew, by operators' leave or without."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from storage.model.command import Command
from storage.model.secrets import (
    AuthCredential,
    EnableSecret,
    PutCredential,
    PutServiceKey,
    ResealSecret,
    ServiceKey,
    UseSecret,
)
from storage.parts import Scoped
from tests.storage.histories import moment

_names = st.sampled_from(["ONE", "TWO"])
_agents = st.sampled_from(["scout", "mate"])
_kinds = st.sampled_from(["service_key", "auth_credential"])

plans = st.one_of(
    st.tuples(
        st.just("put key"),
        _names,
        _agents,
        st.lists(_agents, max_size=2, unique=True),
        st.lists(st.sampled_from(["allowed_agents", "service"]), max_size=2, unique=True),
    ),
    st.tuples(st.just("put credential"), _agents),
    st.tuples(st.just("use"), _names, _agents, _kinds),
    st.tuples(st.just("enable"), _names, _agents, _kinds, st.booleans()),
    st.tuples(st.just("reseal"), _names, _agents, st.integers(0, 24)),
)


def sealed(n: int) -> str:
    """Something that looks encrypted."""
    return f"enc:v1:{n:024x}:{n:032x}:{n:08x}"


def command(n: int, plan: Sequence[Any]) -> Command | None:
    now = moment(n)
    common: dict[str, Any] = {"use_id": f"use-{n % 9}", "at": now}
    match plan:
        case ("put key", name, by, allowed, given):
            key = ServiceKey(
                id=f"key-{n % 5}",
                variable=name,
                name=name,
                encrypted_value=sealed(n),
                service=f"s-{n}",
                allowed_agents=allowed,
                created_at=now,
                updated_at=now,
            )
            return PutServiceKey(by=by, key=key, given=given, **common)
        case ("put credential", by):
            credential = AuthCredential(
                id=f"credential-{n % 5}",
                profile_id="ONE",
                provider="p",
                credential_type="token",
                encrypted_payload=sealed(n),
                created_at=now,
                updated_at=now,
            )
            return PutCredential(by=by, credential=credential, **common)
        case ("use", name, by, kind):
            return UseSecret(by=by, kind=kind, name=name, **common)
        case ("enable", name, by, kind, enabled):
            return EnableSecret(by=by, kind=kind, name=name, enabled=enabled, **common)
        case ("reseal", name, by, was):
            return ResealSecret(
                by=by, kind="service_key", name=name, was=sealed(was), sealed=sealed(n), **common
            )
    return None


async def reads(view: Scoped) -> list[Any]:
    secrets = view.secrets
    return [await secrets.list_keys(), await secrets.list_credentials(), await secrets.list_uses()]
