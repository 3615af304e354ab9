"""The registry of agents: who belongs to the family, and in which role."""

from datetime import datetime
from typing import Any, ClassVar, Final, Self

import msgspec

from storage.errors import InvalidValue

from . import values
from .command import Changes, Command, check_target


class AgentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `agents`. Everybody sees who there is; `config` only the agent and operators.

    Attributes:
        id, name: What it joins as, and what people call it.
        role: What it is for. It decides on access to secrets: only operators give one.
        status: What it says of itself, such as `active`.
        config: Whatever it needs, as JSON; None also where the reader may not see it.
        created_at, updated_at: When it was registered and changed last, with a time zone.

    Example:
        scout: AgentRecord = await mine.agents.register(name="The scout", status="reviews")
        print(scout.id, scout.name, scout.role)  #> scout The scout None
        await storage.operator().agents.update_agent("scout", role="reviewer")
        print([agent.role for agent in await mine.agents.list_agents()])  #> ['reviewer']
    """

    id: str
    name: str
    role: str | None = None
    status: str = "active"
    config: dict[str, Any] | None = None
    created_at: datetime
    updated_at: datetime


class RegisterAgent(Command, frozen=True, kw_only=True, tag=True):
    """Enter an agent, or what is new of it. Its role stays where none is given."""

    area = "agents"
    by_operators: ClassVar[bool] = True

    by: str
    agent: AgentRecord

    @property
    def agent_id(self) -> str:
        return self.by

    def checked(self, dimensions: int) -> Self:
        checked_agent(self.agent)
        if self.by and self.by != self.agent.id:
            raise InvalidValue(
                "id", f"is {ascii(self.agent.id)[:60]}, and {self.by} can only register itself"
            )
        if self.by and self.agent.role is not None:
            raise _only_operators()
        return self


class UpdateAgent(Command, frozen=True, kw_only=True, tag=True):
    """Change columns of an agent.

    Attributes:
        target: The agent.
    """

    area = "agents"
    by_operators: ClassVar[bool] = True

    agent_id: str
    target: str
    changes: dict[str, Any]
    at: datetime

    def checked(self, dimensions: int) -> Self:
        check_target("id", self.target, self.at)
        CHANGES.check(self.changes, dimensions)
        if self.agent_id and "role" in self.changes:
            raise _only_operators()
        return self


COMMANDS: Final = (RegisterAgent, UpdateAgent)


def checked_agent(agent: AgentRecord, _dimensions: int = 0) -> AgentRecord:
    """Return `agent` with every value checked.

    Raises:
        InvalidValue: a value that no table may hold.
    """
    values.text("id", agent.id, least=1, most=128)
    values.text("name", agent.name, least=1, most=256)
    values.optional_text("role", agent.role, most=128)
    values.text("status", agent.status, least=1, most=128)
    if agent.config is not None:
        values.json_object("config", agent.config)
    values.known_moment("created_at", agent.created_at)
    values.known_moment("updated_at", agent.updated_at)
    return agent


def _only_operators() -> InvalidValue:
    return InvalidValue(
        "role",
        "is given by operators, since it decides on access to secrets (`argentbus registry set`)",
    )


_NOW: Final = values.now()
CHANGES: Final = Changes(
    AgentRecord(id="x", name="x", created_at=_NOW, updated_at=_NOW),
    ("name", "role", "status", "config"),
    checked_agent,
)
