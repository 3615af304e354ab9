"""Observations: what happened in a session."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from storage import queries
from storage.database import Database, Transaction, Violation
from storage.domain import Reads, View, Way, Writes
from storage.model import snowflake, values
from storage.model.command import Command
from storage.model.observations import (
    MOST_IMPORTANT,
    TYPES,
    Observation,
    RecordObservations,
)
from storage.rows import Rows
from storage.search import Search

from .sessions import missing

SQL = queries.load("storage.sessions", "observations.sql")


class Observations(View):
    """What one agent may do with observations, which are its own."""

    async def record(self, session_id: str, **columns: Any) -> Observation:
        """Record one observation, as `record_all` does."""
        [observation] = await self.record_all(session_id, [columns])
        return observation

    async def record_all(
        self, session_id: str, observations: Iterable[Mapping[str, Any]]
    ) -> list[Observation]:
        """Record observations of a session of this agent's own: all of them, or none.

        Args:
            observations: 1 to 1,000, each the columns of an `Observation`: type (tool_result
                unless given), tool_name, input, output, summary, channel_id, importance (5 unless
                given), metadata; created_at is now, and id is made, unless they are given.

        Returns:
            The rows as they were sent. Ids grow within a process. Where another process made one of
            them too (in 10,000 observations a second, once in 40 s), the next free one is stored.

        Raises:
            InvalidValue: a value that no table may hold.
            CommandRefused: this agent has no such session.
        """
        made = []
        for columns in observations:
            given: dict[str, Any] = {"id": snowflake.new_id(), "created_at": values.now()}
            given |= columns
            made.append(Observation(session_id=session_id, agent_id=self.agent, **given))
        await self._port.write(RecordObservations(agent_id=self.agent, observations=made))
        return made

    async def list_observations(
        self,
        *,
        session_id: str | None = None,
        type: str | None = None,
        tool_name: str | None = None,
        min_importance: int = 0,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[Observation]:
        """Observations of this agent from `since` to before `until`, the newest first."""
        observations: list[Observation] = await self._port.read(
            "observations",
            "list_observations",
            session_id=session_id,
            type=type,
            tool_name=tool_name,
            min_importance=min_importance,
            since=since,
            until=until,
            limit=limit,
            offset=offset,
        )
        return observations

    async def search_observations(self, query: str, *, limit: int = 10) -> list[Observation]:
        """Observations with any word of `query` in summary or output, the best first."""
        observations: list[Observation] = await self._port.read(
            "observations", "search_observations", query=query, limit=limit
        )
        return observations


class ObservationReads(Reads):
    """Reads of observations."""

    def __init__(self, database: Database, dimensions: int) -> None:
        super().__init__(database, dimensions)
        self._rows = Rows(Observation, database.spelling, "observations")
        self._search = Search(database, self._rows, "own")
        self._time_in = database.spelling.time_in

    async def list_observations(
        self,
        agent: str,
        *,
        session_id: str | None = None,
        type: str | None = None,
        tool_name: str | None = None,
        min_importance: int = 0,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[Observation]:
        if type:
            values.one_of("type", type, TYPES)
        return await self._all(
            agent,
            self._rows,
            SQL["list_observations"],
            values.text("session_id", session_id or ""),
            type or "",
            values.text("tool_name", tool_name or ""),
            values.whole("min_importance", min_importance, 0, MOST_IMPORTANT),
            *map(self._time_in, values.span(since, until)),
            values.at_most("limit", limit, 10_000),
            values.at_most("offset", offset, 2**53),
        )

    async def search_observations(
        self, agent: str, query: str, *, limit: int = 10
    ) -> list[Observation]:
        return await self._search.keyword(agent, query, limit)


class ObservationWrites(Writes):
    """Applies commands on observations: many at once."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._own_sql = queries.load(database.package, "sessions.sql")
        self._rows = Rows(Observation, database.spelling, "observations")

    def ways(self) -> Mapping[type[Command], Way]:
        return {RecordObservations: Way(self._record)}

    async def _record(
        self, transaction: Transaction, commands: Sequence[RecordObservations]
    ) -> None:
        observations = [one for command in commands for one in command.observations]
        await self._check_sessions(transaction, observations)
        try:
            if len(observations) == 1:
                await self._record_where_free(transaction, observations[0])
            elif len(commands) > 1:  # where an id is taken, they come again one by one
                await self._record_at_once(transaction, observations)
            elif not await self._all_free(transaction, observations):
                for one in observations:
                    await self._record_where_free(transaction, one)
        except Violation as error:
            if "FOREIGN KEY" in str(error):  # deleted by another since it was looked at
                raise missing(observations[0].session_id, commands[0].agent_id) from error
            raise

    async def _record_at_once(
        self, transaction: Transaction, observations: Sequence[Observation]
    ) -> None:
        rows = [self._rows.to_row(one) for one in observations]
        await transaction.execute_many(SQL["record_observations"], rows, keys=((0,),))

    async def _all_free(
        self, transaction: Transaction, observations: Sequence[Observation]
    ) -> bool:
        """Record them at once, unless an id is taken."""
        try:
            async with transaction.savepoint():
                await self._record_at_once(transaction, observations)
        except Violation as error:
            if "NOT NULL" not in str(error):
                raise
            return False
        return True

    async def _check_sessions(
        self, transaction: Transaction, observations: Sequence[Observation]
    ) -> None:
        wanted = self._spelling.json_in(sorted({one.session_id for one in observations}))
        rows = await transaction.fetch(self._own_sql["sessions_of"], wanted)
        owners = {row[0]: row[1] for row in rows}
        for one in observations:
            if owners.get(one.session_id) != one.agent_id:
                raise missing(one.session_id, one.agent_id or "")

    async def _record_where_free(self, transaction: Transaction, one: Observation) -> None:
        row = self._rows.to_row(one)
        while not await transaction.fetch(SQL["record_where_free"], *row):
            place = row[0]
            for taken in await transaction.fetch(SQL["from_id"], place):
                if taken[0] != place:
                    break
                if self._is(one, taken):
                    return
                place += 1
            if place > snowflake.MOST:
                raise Violation(f"id: {one.id} is taken, and all behind it are")
            row[0] = place

    def _is(self, one: Observation, taken: Sequence[Any]) -> bool:
        _, session, agent, created_at = taken
        identity = (session, agent, self._spelling.time_out(created_at))
        return identity == (one.session_id, one.agent_id, one.created_at)
