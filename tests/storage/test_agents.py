"""The registry of agents: who enters whom, and who gives roles."""

from typing import Any

import msgspec
import pytest

from bus import Bus
from storage import AgentRecord, CommandRefused, InvalidValue, StorageConfig
from storage.adapter import DatabaseAdapter
from storage.client import StorageClient
from storage.model.agents import RegisterAgent, UpdateAgent
from tests.storage.backends import Raw
from tests.storage.sidecars import sidecar
from tests.storage.test_claims import START

pytestmark = pytest.mark.anyio

RECORD = AgentRecord(id="a", name="A", created_at=START, updated_at=START)


async def test_an_agent_enters_itself_and_what_is_new_of_it(storage: DatabaseAdapter) -> None:
    agents = storage.scoped("a").agents
    first = await agents.register(name="Käse ✔", config={"n": [1]})
    assert first == await agents.get_agent("a")
    assert (first.id, first.role, first.status) == ("a", None, "active")
    await storage.operator().agents.update_agent("a", role="scout")
    second = await agents.register(name="Brot", status="resting")
    assert (second.name, second.role, second.status) == ("Brot", "scout", "resting")
    assert (second.config, second.created_at) == (None, first.created_at)
    assert second.updated_at > first.updated_at
    await agents.update_agent(config={"m": 2})
    assert (await agents.get_agent("a")) is not None
    other = storage.scoped("b").agents
    assert (await other.register()).name == "b"
    seen = await other.get_agent("a")
    assert seen is not None
    assert (seen.name, seen.role, seen.config) == ("Brot", "scout", None), "all but the config"
    assert [one.id for one in await other.list_agents()] == ["a", "b"]
    assert [one.id for one in await other.list_agents(role="scout")] == ["a"]
    assert [one.id for one in await other.list_agents(status="active")] == ["b"]
    assert [one.id for one in await other.list_agents(limit=1, offset=1)] == ["b"]
    assert (await storage.stats()).agents == 2


async def test_no_agent_gives_a_role_or_changes_another(storage: DatabaseAdapter, raw: Raw) -> None:
    agents = storage.scoped("a").agents
    await agents.register()
    await storage.scoped("b").agents.register()
    before = await raw.everything()
    with pytest.raises(InvalidValue, match="role: is given by operators"):
        await agents.register(role="admin")
    for role in ("admin", None):
        with pytest.raises(InvalidValue, match="role: is given by operators"):
            await agents.update_agent(role=role)
    with pytest.raises(InvalidValue, match="id: is 'b', and a can only register itself"):
        await agents.register("b")
    with pytest.raises(CommandRefused, match="no agent b that a may change"):
        await agents.update_agent("b", name="x")
    # Nor by a command made by hand, as an operator's or as its own.
    forged: list[Any] = [
        RegisterAgent(by="a", agent=msgspec.structs.replace(RECORD, role="admin")),
        RegisterAgent(by="", agent=msgspec.structs.replace(RECORD, role="admin")),
        UpdateAgent(agent_id="", target="a", changes={"role": "admin"}, at=START),
        UpdateAgent(agent_id="a", target="a", changes={"role": "admin"}, at=START),
    ]
    for command in forged:
        with pytest.raises(CommandRefused, match="role|agent_id"):
            await storage.apply([command])
    assert await raw.everything() == before


async def test_operators_enter_anybody_and_give_and_take_roles(storage: DatabaseAdapter) -> None:
    operator = storage.operator().agents
    made = await operator.register("a", role="scout", config={"n": 1})
    assert (made.role, made.config) == ("scout", {"n": 1})
    assert (await operator.register("a", role="writer")).role == "writer"
    await operator.update_agent("a", role=None)
    found = await operator.get_agent("a")
    assert found is not None
    assert found.role is None
    with pytest.raises(CommandRefused, match="no agent z that anybody may change"):
        await operator.update_agent("z", role="scout")
    with pytest.raises(InvalidValue, match="id: has 0 characters"):
        await operator.register()


async def test_what_no_registry_may_hold_is_refused_by_name(storage: DatabaseAdapter) -> None:
    changes: list[dict[str, Any]] = [
        {"name": ""},
        {"name": "x" * 257},
        {"status": "\0"},
        {"config": [1]},
        {"config": {"a": float("nan")}},
        {"created_at": START},
        {"id": "b"},
    ]
    for change in changes:
        [field] = change
        with pytest.raises(InvalidValue, match=f"^{field}"):
            await storage.scoped("a").agents.update_agent(**change)


async def test_over_the_bus_the_registry_is_the_same(bus: Bus, config: StorageConfig) -> None:
    async with sidecar(config), bus.join("a") as one, bus.join("b") as other:
        a, b = StorageClient(one), StorageClient(other)
        await a.agents.register(name="A", config={"n": 1})
        mine = await a.agents.get_agent("a")
        assert mine is not None
        assert mine.config == {"n": 1}
        assert [(x.id, x.config) for x in await b.agents.list_agents()] == [("a", None)]
