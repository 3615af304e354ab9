"""Reflections: what an agent makes of a stretch of time."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from storage import queries
from storage.database import Database, Transaction
from storage.domain import Reads, View, Way, Writes
from storage.model import values
from storage.model.command import Command
from storage.model.reflections import TRIGGERS, CreateReflection, Reflection
from storage.rows import Rows

SQL = queries.load("storage.memory", "reflections.sql")


class Reflections(View):
    """What one agent may do with reflections, which are its own."""

    async def create_reflection(
        self,
        *,
        trigger_type: str,
        content: str,
        reflection_id: str | None = None,
        created_at: datetime | None = None,
        **columns: Any,
    ) -> Reflection:
        """Write a reflection down.

        Args:
            trigger_type: heartbeat, evening_cron, significant_event, manual or contemplation.
            content: 1 to 1,000,000 characters.
            reflection_id: A UUIDv7 is made where none is given.
            columns: Other columns of `Reflection`.

        Returns:
            The reflection as it was written.

        Raises:
            InvalidValue: a value that no table may hold.
            CommandRefused: another reflection has that id.
        """
        reflection = Reflection(
            id=reflection_id or values.new_id(),
            agent_id=self.agent,
            trigger_type=trigger_type,
            content=content,
            created_at=values.moment("created_at", created_at) or values.now(),
            **columns,
        )
        await self._port.write(CreateReflection(reflection=reflection))
        return reflection

    async def get_reflection(self, reflection_id: str) -> Reflection | None:
        """The reflection, or None where this agent has none of that id."""
        reflection: Reflection | None = await self._port.read(
            "reflections", "get_reflection", reflection_id=reflection_id
        )
        return reflection

    async def list_reflections(
        self,
        *,
        trigger_type: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[Reflection]:
        """Reflections of this agent, the newest first.

        Args:
            since: Those whose period reaches this time, or a later one. What has no period is
                about the time when it was made.
            until: Those whose period begins before this time.
            limit, offset: Most reflections, up to 10,000, and how many of the newest to pass over.

        Raises:
            InvalidValue: a filter or a limit that cannot be.
        """
        reflections: list[Reflection] = await self._port.read(
            "reflections",
            "list_reflections",
            trigger_type=trigger_type,
            since=since,
            until=until,
            limit=limit,
            offset=offset,
        )
        return reflections


class ReflectionReads(Reads):
    """Reads of reflections."""

    def __init__(self, database: Database, dimensions: int) -> None:
        super().__init__(database, dimensions)
        self._rows = Rows(Reflection, database.spelling, "reflections")
        self._time_in = database.spelling.time_in

    async def get_reflection(self, agent: str, reflection_id: str) -> Reflection | None:
        values.text("reflection_id", reflection_id)
        return await self._one(agent, self._rows, SQL["get_reflection"], reflection_id)

    async def list_reflections(
        self,
        agent: str,
        *,
        trigger_type: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[Reflection]:
        if trigger_type:
            values.one_of("trigger_type", trigger_type, TRIGGERS)
        return await self._all(
            agent,
            self._rows,
            SQL["list_reflections"],
            trigger_type or "",
            *map(self._time_in, values.span(since, until)),
            values.at_most("limit", limit, 10_000),
            values.at_most("offset", offset, 2**53),
        )


class ReflectionWrites(Writes):
    """Applies commands on reflections; many new ones at once."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._rows = Rows(Reflection, database.spelling, "reflections")

    def ways(self) -> Mapping[type[Command], Way]:
        return {CreateReflection: Way(self._create)}

    async def _create(self, transaction: Transaction, commands: Sequence[CreateReflection]) -> None:
        rows = [self._rows.to_row(command.reflection) for command in commands]
        await self._insert_new(
            transaction, SQL["create_reflection"], rows, keys=((0,),), name="reflection"
        )
