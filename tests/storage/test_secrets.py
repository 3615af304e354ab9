"""Secrets: who gets them, what is put down, what never shows, and changing the master key."""

import logging
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus import Bus
from storage import (
    CommandRefused,
    InvalidValue,
    MasterKeyMissing,
    MasterKeyUnusable,
    SecretRefused,
    SecretUnreadable,
    StorageConfig,
)
from storage.adapter import DatabaseAdapter
from storage.client import StorageClient
from storage.commands import Command
from storage.log import log_of, partition_of
from storage.model.secrets import SEALED, PutServiceKey, ResealSecret, ServiceKey, UseSecret
from storage.model.values import now
from storage.secrets import Keyring, Secret, Secrets
from storage.secrets.keyring import new_key
from storage.secrets.policy import refusal
from storage.secrets.sealing import KEY, seal, unseal
from tests.storage.backends import Raw
from tests.storage.sidecars import sidecar

pytestmark = pytest.mark.anyio

HEX = "c0ffee42" * 8
CLEAR = "sk-Hunter2-Käse-🧀"


# sealing


@given(clear=st.text(alphabet=st.characters(exclude_categories=["Cs"])), name=st.text("ab "))
def test_what_is_sealed_opens_with_its_key_and_name_alone(clear: str, name: str) -> None:
    key = bytes(range(KEY))
    sealed = seal(key, name, clear)
    assert SEALED.fullmatch(sealed)
    assert unseal(key, name, sealed) == clear
    assert unseal(bytes(KEY), name, sealed) is None
    assert unseal(key, name + "x", sealed) is None
    assert seal(key, name, clear) != sealed, "an initialisation vector of its own"
    for place in range(7, len(sealed)):
        other = "0" if sealed[place] == "1" else "1"
        assert unseal(key, name, sealed[:place] + other + sealed[place + 1 :]) is None
        if place > 100:
            break


def test_a_known_answer_of_aes_256_gcm() -> None:
    """Test case 16 of McGrew and Viega, "The Galois/Counter Mode of Operation" (2005), has its
    associated data in bytes that are no text: so case 14, with the empty one.
    """
    sealed = (
        "enc:v1:"
        + "00" * 12
        + ":d0d1c8a799996bf0265b98b5d48ab919:"
        + ("cea7403d4d606b6e074ec5d3baf39d18")
    )
    assert unseal(bytes(KEY), "", sealed) == "\0" * 16


# the master key


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A master key file."""
    path = tmp_path / "master.key"
    path.write_text(f"# made today\n{new_key()}\n")
    path.chmod(0o600)
    return path


def test_keys_are_read_from_a_file_or_the_environment(file: Path) -> None:
    ring = Keyring.of(file, {})
    assert ring is not None
    sealed = ring.seal("x", CLEAR)
    text = file.read_text().splitlines()[1]
    of_variable = Keyring.of(None, {"ARGENTBUS_MASTER_KEY": f"{new_key()} {text}"})
    assert of_variable is not None
    assert of_variable.unseal("x", sealed) == CLEAR
    assert not of_variable.is_current("x", sealed)
    assert Keyring.of(None, {}) is None
    assert text not in f"{ring!r} {of_variable!r}"


@pytest.mark.parametrize(
    ("content", "mode", "problem"),
    [
        (HEX.encode(), 0o640, "chmod 600"),
        (HEX.encode(), 0o604, "chmod 600"),
        (b"", 0o600, "has no key in it"),
        (b"# only\n", 0o600, "new-key"),
        (HEX[:-2].encode(), 0o600, "key 1 is not of 64 hex digits"),
        (HEX.encode() + b"\nhunter2\n", 0o600, "key 2 is not of"),
        (b"\xff\xfe", 0o600, "binary"),
        (None, 0o600, "cannot be read: No such file"),
    ],
)
def test_a_master_key_that_is_of_no_use_is_named_and_not_shown(
    tmp_path: Path, content: bytes | None, mode: int, problem: str
) -> None:
    path = tmp_path / "master.key"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(MasterKeyUnusable, match=f"^{path}.*{problem}") as caught:
        Keyring(path).seal("x", CLEAR)
    shown = f"{caught.value} {caught.value.__cause__}"
    assert "hunter2" not in shown
    assert HEX[:8] not in shown


def test_a_changed_file_is_read_again(file: Path) -> None:
    ring = Keyring(file)
    sealed = ring.seal("x", CLEAR)
    old = file.read_text()
    file.write_text(new_key())
    with pytest.raises(SecretUnreadable, match=r"another master key than those in .*master\.key"):
        ring.unseal("x", sealed)
    file.write_text(f"{new_key()}\n{old}")
    assert ring.unseal("x", sealed) == CLEAR
    assert not ring.is_current("x", sealed)
    assert ring.is_current("x", ring.seal("x", CLEAR))


# who may


def key(**columns: Any) -> ServiceKey:
    moment = now()
    return ServiceKey(
        id="k", variable="V", name="V", encrypted_value=seal(bytes(KEY), "x", "y"),
        created_at=moment, updated_at=moment, **columns,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "allowed"),
    [
        ({}, {"a", "b", ""}),
        ({"allowed_agents": ["a"]}, {"a", ""}),
        ({"allowed_roles": ["scribe"]}, {"b", ""}),
        ({"allowed_teams": ["t"]}, {"b", ""}),
        ({"allowed_agents": ["a"], "allowed_teams": ["t"]}, {"a", "b", ""}),
        ({"allowed_agents": ["x"]}, {""}),
        ({"deny_all": True}, {""}),
        ({"deny_all": True, "allowed_agents": ["a"]}, {""}),
        ({"enabled": False}, set()),
    ],
)
def test_a_key_is_for_whom_its_lists_say(columns: dict[str, Any], allowed: set[str]) -> None:
    standing = {"a": (None, []), "b": ("scribe", ["t", "u"]), "": (None, [])}
    one = key(**columns)
    assert {agent for agent, (role, teams) in standing.items() if refusal(
        one, agent, role, teams) is None} == allowed  # fmt: skip


@pytest.fixture
def operator(storage: DatabaseAdapter, file: Path) -> Secrets:
    """The secrets of a storage that has the master key, for an operator."""
    storage.keyring = Keyring(file)
    return storage.operator().secrets


async def outcomes(secrets: Secrets, **filters: Any) -> list[tuple[str, str, str]]:
    """What is put down, the oldest first."""
    uses = await secrets.list_uses(limit=1000, **filters)
    return [(use.agent_id, use.name, use.outcome) for use in reversed(uses)]


async def test_a_key_is_handed_out_to_whom_it_is_for_and_each_use_is_put_down(
    storage: DatabaseAdapter, operator: Secrets, raw: Raw
) -> None:
    await operator.put("OPENAI_API_KEY", CLEAR, name="OpenAI", allowed_agents=["a"])
    mine, other = storage.scoped("a").secrets, storage.scoped("b").secrets
    secret = await mine.get("OPENAI_API_KEY")
    assert secret.reveal() == CLEAR
    assert (await operator.get("OPENAI_API_KEY")).reveal() == CLEAR
    for variable in ("OPENAI_API_KEY", "NONE_SUCH"):
        with pytest.raises(SecretRefused, match=f"{variable} is not there, is disabled, or is not"):
            await other.get(variable)
    assert [one.variable for one in await mine.list_keys()] == ["OPENAI_API_KEY"]
    assert await other.list_keys() == []
    assert await outcomes(operator) == [
        ("", "OPENAI_API_KEY", "stored"),
        ("a", "OPENAI_API_KEY", "granted"),
        ("", "OPENAI_API_KEY", "granted"),
        ("b", "OPENAI_API_KEY", "refused"),
        ("b", "NONE_SUCH", "refused"),
    ]
    assert [use.reason for use in await operator.list_uses(agent_id="b")] == [
        "there is no such key",
        "neither the agent, nor its role, nor a team of it is allowed",
    ]
    assert {use.reason for use in await other.list_uses()} == {None}
    assert await outcomes(mine) == [("a", "OPENAI_API_KEY", "granted")]
    [(stored,)] = await raw.query("SELECT encrypted_value FROM service_keys")
    assert SEALED.fullmatch(stored)


async def test_roles_and_teams_count_as_they_are_now(
    storage: DatabaseAdapter, operator: Secrets, raw: Raw
) -> None:
    await operator.put("BY_ROLE", CLEAR, allowed_roles=["scribe"])
    await operator.put("BY_TEAM", CLEAR, allowed_teams=["t"])
    mine = storage.scoped("a").secrets
    moment = "'2026-01-02T00:00:00.000000Z'"
    await raw.query(
        f"INSERT INTO agents (id, name, created_at, updated_at) "
        f"VALUES ('a', 'a', {moment}, {moment})"
    )
    await raw.query(
        f"INSERT INTO teams (id, name, lead_session_key, created_at, updated_at) "
        f"VALUES ('t', 'x', 's', {moment}, {moment})"
    )
    assert await mine.list_keys() == []
    await raw.query("UPDATE agents SET role = 'scribe'")
    await raw.query(
        f"INSERT INTO team_members (team_id, session_key, agent_id, joined_at) "
        f"VALUES ('t', 's', 'a', {moment})"
    )
    assert [one.variable for one in await mine.list_keys()] == ["BY_ROLE", "BY_TEAM"]
    for variable in ("BY_ROLE", "BY_TEAM"):
        assert (await mine.get(variable)).reveal() == CLEAR
    await raw.query("UPDATE agents SET role = 'other'")
    await raw.query("UPDATE teams SET status = 'disbanded'")
    for variable in ("BY_ROLE", "BY_TEAM"):
        with pytest.raises(SecretRefused):
            await mine.get(variable)


async def test_a_granted_use_hands_out_nothing_to_others_or_after_it_was_disabled(
    storage: DatabaseAdapter, operator: Secrets
) -> None:
    await operator.put("V", CLEAR)
    use = UseSecret(by="a", use_id="u-1", at=now(), kind="service_key", name="V")
    await storage.write(use)

    async def taken(agent: str) -> Any:
        return await storage.read(agent, "secrets", "taken", use_id="u-1")

    assert (await taken("a")).sealed is not None
    assert await taken("b") is await taken("") is None
    with pytest.raises(CommandRefused, match="another use u-1"):
        await storage.write(msgspec.structs.replace(use, by="b"))
    await storage.write(use)
    assert len(await operator.list_uses(agent_id="a")) == 1, "the same again is no news"
    await operator.disable("V")
    assert (await taken("a")).sealed is None
    with pytest.raises(SecretRefused):
        await operator.get("V")
    await operator.enable("V")
    assert (await taken("a")).sealed is not None
    assert [outcome for *_, outcome in await outcomes(operator)][2:] == [
        *("disabled", "refused", "enabled")
    ]


async def test_a_second_put_changes_the_value_and_what_is_given(operator: Secrets) -> None:
    await operator.put("V", "one", name="First", service="s", allowed_roles=["r"])
    await operator.disable("V")
    [before] = await operator.list_keys()
    await operator.put("V", "two", service="t", deny_all=True)
    [after] = await operator.list_keys()
    assert (after.id, after.name, after.service) == (before.id, "First", "t")
    assert (after.allowed_roles, after.deny_all, after.enabled) == (["r"], True, False)
    await operator.enable("V")
    assert (await operator.get("V")).reveal() == "two"


async def test_an_agent_stores_for_itself_and_takes_nobodys_place(
    storage: DatabaseAdapter, operator: Secrets
) -> None:
    mine, other = storage.scoped("a").secrets, storage.scoped("b").secrets
    await mine.put("MINE", "one")
    await mine.put("MINE", "two", allowed_agents=["a", "b"])
    assert (await other.get("MINE")).reveal() == "two"
    await operator.put("SHARED", CLEAR)
    await operator.put("ROLE", CLEAR, allowed_roles=["r"])
    for variable in ("SHARED", "ROLE"):
        with pytest.raises(CommandRefused, match=f"{variable}: there is one already that b may"):
            await other.put(variable, "forged")
    for allowed in ([], ["a"]):
        with pytest.raises(CommandRefused, match=r"by name \(allowed_agents\)"):
            await other.put("NEW", "planted", allowed_agents=allowed)
    for action in (other.disable, other.enable):
        with pytest.raises(CommandRefused, match="only operators"):
            await action("MINE")
    with pytest.raises(SecretRefused, match="only operators"):
        await other.rotate()
    assert (await operator.get("SHARED")).reveal() == CLEAR
    assert [one.variable for one in await operator.list_keys()] == ["MINE", "ROLE", "SHARED"]


async def test_credentials_are_for_operators(
    storage: DatabaseAdapter, operator: Secrets, raw: Raw
) -> None:
    await operator.put_credential(
        "openai:me", CLEAR, provider="openai", credential_type="oauth", email="me@x"
    )
    await operator.put_credential("openai:me", "new", provider="openai", credential_type="token")
    assert (await operator.get_credential("openai:me")).reveal() == "new"
    [one] = await operator.list_credentials()
    assert (one.email, one.credential_type, one.last_used_at is not None) == ("me@x", "token", True)
    await operator.disable("openai:me", kind="auth_credential")
    with pytest.raises(SecretRefused):
        await operator.get_credential("openai:me")
    await operator.enable("openai:me", kind="auth_credential")
    mine = storage.scoped("a").secrets
    assert await mine.list_credentials() == []
    with pytest.raises(SecretRefused):
        await mine.get_credential("openai:me")
    with pytest.raises(CommandRefused, match="only operators"):
        await mine.put_credential("p", "x", provider="p", credential_type="token")
    with pytest.raises(CommandRefused, match="no auth credential nope"):
        await operator.disable("nope", kind="auth_credential")
    assert (await outcomes(operator))[-1] == ("a", "openai:me", "refused")


async def test_a_ciphertext_in_another_row_does_not_open(operator: Secrets, raw: Raw) -> None:
    await operator.put("CHEAP", "x")
    await operator.put("DEAR", CLEAR)
    await raw.query(
        "UPDATE service_keys SET encrypted_value = (SELECT encrypted_value FROM service_keys "
        "WHERE variable = 'DEAR') WHERE variable = 'CHEAP'"
    )
    with pytest.raises(SecretUnreadable, match="service_key CHEAP"):
        await operator.get("CHEAP")
    assert (await operator.get("DEAR")).reveal() == CLEAR


async def test_without_a_master_key_it_is_said_what_to_do(storage: DatabaseAdapter) -> None:
    secrets = storage.operator().secrets
    for attempt in (secrets.put("V", CLEAR), secrets.get("V"), secrets.rotate()):
        with pytest.raises(MasterKeyMissing, match="ARGENTBUS_MASTER_KEY_FILE"):
            await attempt
    assert await secrets.list_uses() == await secrets.list_keys() == []


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"variable": ""}, "variable"),
        ({"variable": "\0"}, "variable"),
        ({"value": ""}, "value"),
        ({"value": "\ud800" + CLEAR}, "value"),
        ({"value": CLEAR.encode()}, "value"),
        ({"value": "é" * 60_000}, "value"),
        ({"name": ""}, "name"),
        ({"source": "dream"}, "source"),
        ({"service": "s" * 257}, "service"),
        ({"allowed_agents": "abc"}, "allowed_agents"),
        ({"allowed_roles": [""]}, "allowed_roles[0]"),
        ({"allowed_teams": ["t"] * 1001}, "allowed_teams"),
        ({"deny_all": 1}, "deny_all"),
    ],
)
async def test_a_wrong_value_is_named_and_not_shown(
    operator: Secrets, arguments: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidValue) as caught:
        await operator.put(**({"variable": "V", "value": CLEAR} | arguments))
    assert caught.value.field == field
    assert "Hunter2" not in f"{caught.value!r}"
    assert await operator.list_keys() == []


async def test_no_clear_text_is_taken_for_a_ciphertext(
    storage: DatabaseAdapter, operator: Secrets
) -> None:
    for value in (CLEAR, "enc:v1:zz", f"enc:v1:{CLEAR}", ""):
        command = PutServiceKey(
            by="a", use_id="u", at=now(), key=msgspec.structs.replace(key(), encrypted_value=value)
        )
        with pytest.raises(InvalidValue, match="encrypted_value: is not encrypted") as caught:
            await storage.write(command)
        assert "Hunter2" not in str(caught.value)


# changing the master key


async def test_the_master_key_is_changed_while_secrets_are_used(
    storage: DatabaseAdapter, operator: Secrets, file: Path
) -> None:
    for n in range(5):
        await operator.put(f"V{n}", f"{CLEAR} {n}")
    await operator.put_credential("p", CLEAR, provider="p", credential_type="token")
    old = file.read_text()
    new = new_key()
    file.write_text(f"{new}\n{old}")
    assert (await operator.get("V0")).reveal() == f"{CLEAR} 0"
    await operator.put("V4", f"{CLEAR} 4")
    rotated = await operator.rotate()
    assert (rotated.resealed, rotated.current) == (5, 1)
    assert (await operator.rotate()).resealed == 0
    file.write_text(new)
    for n in range(5):
        assert (await storage.scoped("a").secrets.get(f"V{n}")).reveal() == f"{CLEAR} {n}"
    assert (await operator.get_credential("p")).reveal() == CLEAR
    assert [outcome for *_, outcome in await outcomes(operator)].count("rotated") == 5
    file.write_text(old)
    with pytest.raises(SecretUnreadable, match="Nothing is lost"):
        await operator.get("V1")


async def test_what_a_rotation_left_is_done_by_the_next(
    storage: DatabaseAdapter, operator: Secrets, file: Path, raw: Raw
) -> None:
    for n in range(4):
        await operator.put(f"V{n}", CLEAR)
    file.write_text(f"{new_key()}\n{file.read_text()}")
    await raw.refuse("secret_uses", "new.outcome = 'rotated' AND new.name = 'V2'", "no power")
    with pytest.raises(CommandRefused, match="no power"):
        await operator.rotate()
    ring = storage.keyring
    assert ring is not None
    stored = await raw.query("SELECT variable, encrypted_value FROM service_keys ORDER BY 1")
    current = [ring.is_current(f"service_key {name}", sealed) for name, sealed in stored]
    assert current == [True, True, False, False]
    for n in range(4):
        assert (await operator.get(f"V{n}")).reveal() == CLEAR
    await raw.allow("secret_uses")
    rotated = await operator.rotate()
    assert (rotated.resealed, rotated.current) == (2, 2)


async def test_with_a_wrong_master_key_nothing_is_changed(
    operator: Secrets, file: Path, raw: Raw
) -> None:
    await operator.put("A", CLEAR)
    before = await raw.query("SELECT * FROM service_keys")
    old = file.read_text()
    file.write_text(new_key())
    await operator.put("B", CLEAR)
    both = await raw.query("SELECT * FROM service_keys ORDER BY variable")
    file.write_text(f"{new_key()}\n{file.read_text()}")
    with pytest.raises(SecretUnreadable, match="service_key A cannot be decrypted"):
        await operator.rotate()
    assert await raw.query("SELECT * FROM service_keys ORDER BY variable") == both
    assert both[:1] == before
    file.write_text(f"{file.read_text()}\n{old}")
    assert (await operator.rotate()).resealed == 2


async def test_a_value_that_was_stored_meanwhile_is_not_overwritten(
    storage: DatabaseAdapter, operator: Secrets, raw: Raw
) -> None:
    await operator.put("V", "old")
    [(was,)] = await raw.query("SELECT encrypted_value FROM service_keys")
    ring = storage.keyring
    assert ring is not None
    await operator.put("V", "new")
    late = ResealSecret(
        by="", use_id="late", at=now(), kind="service_key", name="V", was=was,
        sealed=ring.seal("service_key V", "old"),
    )  # fmt: skip
    await storage.write(late, operator=True)
    assert (await operator.get("V")).reveal() == "new"
    assert "late" not in [use.id for use in await operator.list_uses()]


# what never shows


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Everything that anybody logs."""
    with caplog.at_level(logging.DEBUG):
        yield caplog


async def test_over_the_bus_nothing_shows_the_clear_text(
    bus: Bus, config: StorageConfig, file: Path, logged: pytest.LogCaptureFixture, path: Path
) -> None:
    sent: list[Command] = []
    async with bus.join("a") as a, bus.join("b") as b:
        mine, other = (StorageClient(one, keyring=Keyring(file)) for one in (a, b))
        write = mine.write

        async def spying(command: Command) -> None:
            sent.append(command)
            await write(command)

        mine.write = spying  # type: ignore[method-assign]
        await mine.secrets.put("V", CLEAR, allowed_agents=["a"])
        entries = await log_of(bus, partition_of("a", 4)).read(after="0-0", limit=10, block=0.1)
        async with sidecar(config):
            secret = await mine.secrets.get("V")
            assert secret.reveal() == CLEAR
            with pytest.raises(SecretRefused) as refused:
                await other.secrets.get("V")
            without = StorageClient(a)
            with pytest.raises(MasterKeyMissing, match="keyring=Keyring"):
                await without.secrets.put("W", CLEAR)
            assert [one.variable for one in await without.secrets.list_keys()] == ["V"]
            uses = await mine.secrets.list_uses()
            assert [use.outcome for use in reversed(uses)] == ["stored", "granted"]
    [entry] = entries
    shown = [
        repr(sent), str(sent), msgspec.json.encode(sent).decode(), repr(secret), f"{secret}",
        repr(refused.value), repr(uses), logged.text, repr(mine.keyring), repr(vars(mine)),
        entry.raw.decode("latin-1"),
    ]  # fmt: skip
    shown += [one.read_bytes().decode("latin-1") for one in path.parent.glob("memory.db*")]
    master = file.read_text().splitlines()[1]
    for text in shown:
        assert "Hunter2" not in text
        assert master not in text
    assert any("enc:v1:" in text for text in shown), "it was looked at the right places"


def test_a_secret_does_not_show_itself() -> None:
    secret = Secret(CLEAR)
    assert f"{secret} {secret!r} {[secret]} {secret:}" == " ".join(["Secret(...)"] * 2) + (
        " [Secret(...)] Secret(...)"
    )
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        msgspec.json.encode(secret)
