"""The registry of agents: who belongs to the family."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from storage import queries
from storage.database import Database, Transaction
from storage.domain import Reads, View, Way, Writes, each
from storage.errors import NotFound
from storage.model import values
from storage.model.agents import CHANGES, AgentRecord, RegisterAgent, UpdateAgent
from storage.model.command import Command
from storage.rows import Rows

SQL: Final = queries.load("storage.agents", "agents.sql")


class Agents(View):
    """What one agent may do with the registry.

    Who there is, everybody may see; an agent enters and changes itself. A role decides on access to
    secrets: only operators give one.
    """

    async def register(
        self,
        agent_id: str | None = None,
        *,
        name: str | None = None,
        role: str | None = None,
        status: str = "active",
        config: dict[str, Any] | None = None,
    ) -> AgentRecord:
        """Enter an agent, or what is new of it. It keeps its role where none is given.

        Args:
            agent_id: This agent where none is given; another only as an operator.
            name: Its id where none is given.
            role: What it is for; only as an operator.
            status: What it says of itself, up to 128 characters.
            config: Seen by itself and operators.

        Returns:
            The agent as it is registered; over the bus, as it was sent.

        Raises:
            InvalidValue: a value that no table may hold; another agent, or a role, by an agent.
        """
        moment, target = values.now(), agent_id or self.agent
        agent = AgentRecord(
            id=target,
            name=name or target,
            role=role,
            status=status,
            config=config,
            created_at=moment,
            updated_at=moment,
        )
        await self._port.write(RegisterAgent(by=self.agent, agent=agent))
        if not self._port.settles:
            return agent
        return await self.get_agent(target) or agent

    async def get_agent(self, agent_id: str) -> AgentRecord | None:
        """An agent that is registered; with its config only for itself and operators."""
        agent: AgentRecord | None = await self._port.read("agents", "get_agent", agent_id=agent_id)
        return agent

    async def list_agents(
        self,
        *,
        role: str | None = None,
        status: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[AgentRecord]:
        """All agents that are registered, by their ids."""
        agents: list[AgentRecord] = await self._port.read(
            "agents", "list_agents", role=role, status=status, limit=limit, offset=offset
        )
        return agents

    async def update_agent(self, agent_id: str | None = None, **changes: Any) -> None:
        """Change the name, the status or the config of this agent; as an operator, of any agent,
        and its role (None takes it away).

        Raises:
            InvalidValue: a value that no table may hold, a column that stays as it is, or a role
                by an agent.
            CommandRefused: there is no such agent, or it is not this one.
        """
        await self._port.write(
            UpdateAgent(
                agent_id=self.agent,
                target=agent_id or self.agent,
                changes=changes,
                at=values.now(),
            )
        )


class AgentReads(Reads):
    """Reads of the registry."""

    def __init__(self, database: Database, dimensions: int) -> None:
        super().__init__(database, dimensions)
        self._rows = Rows(AgentRecord, database.spelling, "agents")

    async def get_agent(self, agent: str, agent_id: str) -> AgentRecord | None:
        found = await self._found(agent, SQL["get_agent"], values.text("agent_id", agent_id))
        return found[0] if found else None

    async def list_agents(
        self,
        agent: str,
        *,
        role: str | None = None,
        status: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[AgentRecord]:
        return await self._found(
            agent,
            SQL["list_agents"],
            values.text("role", role or ""),
            values.text("status", status or ""),
            values.at_most("limit", limit, 10_000),
            values.at_most("offset", offset, 2**53),
        )

    async def _found(self, agent: str, sql: str, *args: Any) -> list[AgentRecord]:
        rows: Sequence[Any] = await self._database.fetch(sql, agent, *args, scope=agent)
        return [self._rows.from_row(row) for row in rows]


class AgentWrites(Writes):
    """Applies commands on the registry within a transaction."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._rows = Rows(AgentRecord, database.spelling, "agents")

    def ways(self) -> Mapping[type[Command], Way]:
        return {RegisterAgent: each(self._register), UpdateAgent: each(self._update)}

    async def _register(self, transaction: Transaction, command: RegisterAgent) -> None:
        await transaction.fetch(SQL["register_agent"], *self._rows.to_row(command.agent))

    async def _update(self, transaction: Transaction, command: UpdateAgent) -> None:
        changes = CHANGES.converted(command.changes) | {"updated_at": command.at}
        target = (command.target, command.agent_id)
        if not await self._change(transaction, self._rows, SQL["update_agent"], changes, *target):
            by = command.agent_id or "anybody"
            raise NotFound(f"there is no agent {command.target} that {by} may change")
