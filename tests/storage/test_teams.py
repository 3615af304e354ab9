"""Teams: who founds, leads, joins and leaves them, and what they share."""

from typing import Any

import pytest

from bus import Bus
from storage import CommandRefused, InvalidValue, StorageConfig, TeamRecord
from storage.adapter import DatabaseAdapter
from storage.client import StorageClient
from storage.model.teams import CreateTeam, JoinTeam, Team, TeamMember
from storage.teams import Teams
from tests.storage.backends import Raw
from tests.storage.sidecars import sidecar
from tests.storage.test_claims import START

pytestmark = pytest.mark.anyio


async def read(teams: Teams, team_id: str = "t-1") -> TeamRecord:
    record = await teams.get_team(team_id)
    assert record is not None
    return record


async def founded(storage: DatabaseAdapter, *members: str) -> Teams:
    """A team t-1 that `a` leads."""
    teams = storage.scoped("a").teams
    await teams.create_team(name="one", team_id="t-1")
    for member in members:
        await teams.add_member("t-1", member)
        await storage.scoped(member).teams.join("t-1")
    return teams


async def test_who_founds_a_team_leads_it_and_is_its_first_member(storage: DatabaseAdapter) -> None:
    teams = storage.scoped("a").teams
    team = await teams.create_team(name="Käse ✔", session_key="s-1", label="boss", config={"n": 1})
    record = await read(teams, team.id)
    assert record.team == team
    assert (team.lead_session_key, team.status, team.config) == ("s-1", "active", {"n": 1})
    [lead] = record.members
    assert (lead.session_key, lead.agent_id, lead.role, lead.label) == ("s-1", "a", "lead", "boss")
    assert lead.joined_at == team.created_at
    second = await teams.create_team(name="two")
    assert second.lead_session_key == "a"
    assert [one.id for one in await teams.list_teams()] == [second.id, team.id]
    assert [one.id for one in await teams.list_teams(limit=1, offset=1)] == [team.id]
    assert await teams.list_teams(status="disbanded") == []
    assert await storage.scoped("b").teams.get_team(team.id) is None
    assert (await storage.stats()).teams == 2


async def test_an_agent_shares_with_a_team_only_after_it_has_joined(
    storage: DatabaseAdapter,
) -> None:
    a, b = storage.scoped("a"), storage.scoped("b")
    await b.memory.create_item(
        summary="for the team", memory_type="event", item_id="i-1", visibility="team"
    )
    await founded(storage)
    await a.teams.add_member("t-1", "b", session_key="s-b", label="reader")
    assert await a.memory.get_item("i-1") is None, "who is only invited shares nothing"
    assert [one.session_key for one in await b.teams.invitations()] == ["s-b"]
    assert await b.teams.get_team("t-1") is None
    await b.teams.join("t-1")
    assert await b.teams.invitations() == await a.teams.invitations("t-1") == []
    assert await a.memory.get_item("i-1") is not None
    member = (await read(b.teams)).members[1]
    assert (member.session_key, member.agent_id, member.label) == ("s-b", "b", "reader")
    await b.teams.join("t-1")
    await a.teams.add_member("t-1", "b", session_key="s-b")
    assert len((await read(a.teams)).members) == 2, "once is enough"
    await b.teams.remove_member("t-1", "s-b")
    assert await a.memory.get_item("i-1") is None
    assert await b.teams.get_team("t-1") is None


async def test_a_team_sees_and_changes_its_tasks_until_one_leaves(storage: DatabaseAdapter) -> None:
    await founded(storage, "b")
    tasks, b = storage.scoped("a").tasks, storage.scoped("b").tasks
    await tasks.create_task(title="x", task_id="task-1", team_id="t-1")
    await tasks.create_task(title="x", task_id="task-2")
    await b.update_task("task-1", title="y")
    await b.start("task-1")
    assert [change.agent_id for change in await tasks.history("task-1")] == ["b", "b"]
    for stranger in ("b", "c"):
        with pytest.raises(CommandRefused, match=f"no task {'0' * 32} that {stranger} may change"):
            await storage.scoped(stranger).tasks.update_task("0" * 32, title="z")
    await tasks.update_task("task-2", team_id="t-1")
    await b.complete("task-2")
    await storage.scoped("b").teams.remove_member("t-1")
    with pytest.raises(LookupError):
        await b.complete("task-1")


async def test_only_the_lead_and_operators_change_a_team(
    storage: DatabaseAdapter, raw: Raw
) -> None:
    await founded(storage, "b")
    await storage.scoped("a").teams.add_member("t-1", "z")
    before = await raw.everything()
    # A member, one who is none, and one who is invited.
    for stranger in ("b", "c", "z"):
        await refused_to(stranger, storage.scoped(stranger).teams)
    assert await raw.everything() == before
    operator = storage.operator().teams
    await operator.update_team("t-1", name="two")
    await operator.add_member("t-1", "d")
    await operator.update_member("t-1", session_key="d", status="idle", label="guest")
    record = await read(storage.scoped("d").teams)
    assert record.team.name == "two"
    assert [(m.agent_id, m.status) for m in record.members][-1] == ("d", "idle")
    await operator.remove_member("t-1", "d")
    await operator.disband("t-1")


async def refused_to(stranger: str, teams: Teams) -> None:
    """What the lead may do with t-1 is refused to whoever does not lead it."""
    refused: list[tuple[Any, dict[str, Any]]] = [
        (teams.update_team, {"name": "mine"}),
        (teams.update_team, {"lead_session_key": stranger}),
        (teams.disband, {}),
        (teams.add_member, {"agent": stranger, "session_key": "another"}),
        (teams.add_member, {"agent": "d"}),
        (teams.update_member, {"session_key": "a", "status": "failed"}),
        (teams.remove_member, {"session_key": "a"}),
        (teams.remove_member, {"session_key": "nobody"}),
    ]
    for method, arguments in refused:
        with pytest.raises(CommandRefused, match="there is no"):
            await method("t-1", **arguments)


async def test_members_say_how_they_are(storage: DatabaseAdapter) -> None:
    await founded(storage, "b")
    b = storage.scoped("b").teams
    assert (await read(b)).members[1].last_active_at is None
    await b.touch("t-1")
    touched = (await read(b)).members[1]
    assert touched.last_active_at is not None
    await b.update_member("t-1", status="completed", label="done")
    after = (await read(b)).members[1]
    assert (after.status, after.label) == ("completed", "done")
    assert after.last_active_at is not None
    assert after.last_active_at > touched.last_active_at
    await storage.scoped("a").teams.update_member("t-1", session_key="b", status="failed")
    assert (await read(b)).members[1].last_active_at == after.last_active_at, "a looked, not b"
    for column in ("role", "agent_id", "joined_at"):
        with pytest.raises(InvalidValue, match=f"{column}: cannot be changed"):
            await b.update_member("t-1", **{column: "lead"})


async def test_the_lead_goes_only_when_another_leads(storage: DatabaseAdapter) -> None:
    a = await founded(storage, "b")
    b = storage.scoped("b").teams
    with pytest.raises(CommandRefused, match="session a leads team t-1: let another lead it"):
        await a.remove_member("t-1")
    with pytest.raises(CommandRefused, match="no session z in team t-1 that could lead it"):
        await a.update_team("t-1", lead_session_key="z")
    await a.update_team("t-1", lead_session_key="b")
    assert {m.agent_id: m.role for m in (await read(b)).members} == {"a": "worker", "b": "lead"}
    with pytest.raises(CommandRefused, match="no team t-1 that a leads"):
        await a.disband("t-1")
    await a.remove_member("t-1")
    assert [m.agent_id for m in (await read(b)).members] == ["b"]


async def test_a_disbanded_team_stays_so_and_can_be_left(storage: DatabaseAdapter) -> None:
    a = await founded(storage, "b")
    await a.add_member("t-1", "c")
    await a.update_team("t-1", status="completed")
    await a.disband("t-1")
    await a.disband("t-1")
    b, c = storage.scoped("b").teams, storage.scoped("c").teams
    assert (await read(b)).team.status == "disbanded"
    for method, arguments in (
        (a.update_team, {"status": "active"}),
        (a.add_member, {"agent": "d"}),
        (c.join, {}),
        (storage.operator().teams.update_team, {"name": "x"}),
    ):
        anything: Any = method
        with pytest.raises(CommandRefused, match="team t-1 is disbanded: found another one"):
            await anything("t-1", **arguments)
    await b.remove_member("t-1")
    await a.remove_member("t-1")
    assert await a.list_teams() == []


async def test_an_invitation_is_declined_or_taken_back(storage: DatabaseAdapter) -> None:
    a, b = await founded(storage), storage.scoped("b").teams
    await a.add_member("t-1", "b", session_key="s-1")
    await a.add_member("t-1", "b", session_key="s-2")
    await a.add_member("t-1", "b", session_key="s-3")
    await b.remove_member("t-1", "s-1")
    await a.remove_member("t-1", "s-2")
    await b.join("t-1", session_key="s-3")
    assert [m.session_key for m in (await read(b)).members] == ["a", "s-3"]
    for session_key in ("s-1", "s-2"):
        with pytest.raises(CommandRefused, match="no invitation of b to team t-1"):
            await b.join("t-1", session_key=session_key)
    with pytest.raises(CommandRefused, match="no invitation of c to team t-1"):
        await storage.scoped("c").teams.join("t-1")
    with pytest.raises(CommandRefused, match="of another agent"):
        await a.add_member("t-1", "c", session_key="s-3")
    with pytest.raises(InvalidValue, match="agent_id"):
        await storage.operator().teams.join("t-1")


async def test_the_same_team_again_is_no_news_and_nobody_founds_one_for_another(
    storage: DatabaseAdapter,
) -> None:
    team = Team(id="t-1", name="x", lead_session_key="s", created_at=START, updated_at=START)
    lead = TeamMember(team_id="t-1", session_key="s", agent_id="a", role="lead", joined_at=START)
    await storage.apply([CreateTeam(by="a", team=team, lead=lead)])
    a = storage.scoped("a").teams
    await a.add_member("t-1", "b")
    await storage.apply([JoinTeam(agent_id="b", team_id="t-1", at=START)])
    await a.update_team("t-1", lead_session_key="b")
    await a.remove_member("t-1", "s")
    await storage.apply([CreateTeam(by="a", team=team, lead=lead)])
    assert [m.agent_id for m in (await read(storage.scoped("b").teams)).members] == ["b"]
    with pytest.raises(CommandRefused, match="another team t-1 already"):
        await a.create_team(name="x", team_id="t-1")
    with pytest.raises(InvalidValue, match="lead: is of another agent than a"):
        await a.create_team(name="x", lead="b")
    with pytest.raises(InvalidValue, match="lead_session_key: has 0 characters"):
        await storage.operator().teams.create_team(name="x")
    for field, changes in (("name", {"name": ""}), ("status", {"status": "gone"})):
        with pytest.raises(InvalidValue, match=field):
            await a.update_team("t-1", **changes)


async def test_over_the_bus_a_team_is_the_same(bus: Bus, config: StorageConfig) -> None:
    async with sidecar(config), bus.join("a") as one, bus.join("b") as other:
        a, b = StorageClient(one), StorageClient(other)
        team = await a.teams.create_team(name="x")
        await a.teams.add_member(team.id, "b")
        assert [i.agent_id for i in await a.teams.invitations()] == ["b"]
        await b.teams.join(team.id)
        assert [m.agent_id for m in (await read(b.teams, team.id)).members] == ["a", "b"]
        await a.tasks.create_task(title="x", team_id=team.id)
        await a.flush()
        assert len(await b.tasks.claim(team=team.id)) == 1
