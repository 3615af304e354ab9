"""Service keys, stored by operators for some and for all, one by `a`; a credential; and uses."""

import msgspec

from storage.adapter import DatabaseAdapter
from storage.errors import SecretRefused
from storage.parts import Scoped
from storage.secrets import Keyring
from storage.secrets.keyring import new_key
from tests.storage.backends import Raw
from tests.storage.estates import AGENTS, Read, Shown, seen

KEYS = ("all", "for-a", "for-role", "for-team", "of-a", "operators", "disabled")
SEEN = seen(
    a={"all", "for-a", "for-team", "of-a"},
    b={"all", "for-role", "for-team"},
    c={"all"},
    d={"all"},
    operator={*KEYS},
)
USED = seen(
    a={"granted", "stored"}, b={"refused"}, operator={"granted", "stored", "refused", "disabled"}
)


async def fill(storage: DatabaseAdapter, raw: Raw) -> None:
    storage.keyring = Keyring(text=new_key())
    await raw.query("UPDATE agents SET role = 'scribe' WHERE id = 'b'")
    secrets = storage.operator().secrets
    await secrets.put("all", "x")
    await secrets.put("for-a", "x", allowed_agents=["a"])
    await secrets.put("for-role", "x", allowed_roles=["scribe"])
    await secrets.put("for-team", "x", allowed_teams=["ab", "ad"])
    await secrets.put("operators", "x", allowed_agents=["a"], deny_all=True)
    await secrets.put("disabled", "x")
    await secrets.disable("disabled")
    await secrets.put_credential("profile", "x", provider="p", credential_type="token")
    await storage.scoped("a").secrets.put("of-a", "x")
    await storage.scoped("a").secrets.get("for-a")
    try:
        await storage.scoped("b").secrets.get("for-a")
    except SecretRefused:
        return
    raise AssertionError("b may not use what is for a")


async def _listed(view: Scoped) -> list[str]:
    return [one.variable for one in await view.secrets.list_keys()]


async def _credentials(view: Scoped) -> list[str]:
    return [one.profile_id for one in await view.secrets.list_credentials()]


async def _uses(view: Scoped) -> list[str]:
    return [one.outcome for one in await view.secrets.list_uses(limit=1000)]


async def _taken(view: Scoped) -> list[str]:
    """By the uses that are put down (read as an operator), what each is handed out."""
    port = view.secrets._port
    uses = await port._adapter.read("", "secrets", "list_uses")  # type: ignore[attr-defined]
    granted = []
    for use in uses:
        taken = await port.read("secrets", "taken", use_id=use.id)
        if taken is not None and taken.sealed is not None:
            granted.append(use.name)
    return granted


async def _sealed(view: Scoped) -> list[str]:
    try:
        found = await view.secrets._port.read("secrets", "sealed")
    except SecretRefused:
        return []
    return [msgspec.to_builtins(one)["name"] for one in found]


READS = {
    ("secrets", "list_keys"): Read(_listed, SEEN),
    ("secrets", "list_credentials"): Read(_credentials, seen(operator={"profile"})),
    ("secrets", "list_uses"): Read(_uses, USED),
    # Another's use, and even an operator, hands nothing out.
    ("secrets", "taken"): Read(_taken, seen(a={"for-a"}, operator=set())),
    ("secrets", "sealed"): Read(_sealed, seen(operator={*KEYS, "profile"})),
}

SQL = {
    "service_keys": Shown("SELECT variable FROM service_keys", SEEN),
    "secret_uses": Shown("SELECT outcome FROM secret_uses", USED),
}

assert set(AGENTS) <= SEEN.keys()
