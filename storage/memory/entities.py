"""Entities: whom and what memories are about."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from storage import queries
from storage.database import Database, Transaction
from storage.domain import Reads, View, Way, each
from storage.model import values
from storage.model.command import Command
from storage.model.entities import (
    CHANGES,
    ENTITY_TYPES,
    CreateEntity,
    DeleteEntity,
    EnsureEntity,
    Entity,
    LinkEntity,
    UnlinkEntity,
    UpdateEntity,
)
from storage.model.items import VISIBILITIES
from storage.rows import Rows

from .named import NamedWrites

SQL = queries.load("storage.memory", "entities.sql")


class Mention(msgspec.Struct, frozen=True):
    """An entity in an item, and its role there."""

    entity: Entity
    role: str


class Entities(View):
    """What one agent may do with entities."""

    async def create_entity(
        self,
        name: str,
        *,
        entity_type: str = "person",
        embedding: Sequence[float] | None = None,
        entity_id: str | None = None,
        created_at: datetime | None = None,
        **columns: Any,
    ) -> Entity:
        """Add an entity.

        Args:
            name: 1 to 500 characters, new to this agent.
            entity_type: person, pet, place, organization or project.
            embedding: Numbers, as many as this storage's dimension.
            entity_id: A UUIDv7 is made where none is given.
            columns: Other columns of `Entity`.

        Raises:
            InvalidValue: a value that no table may hold.
            CommandRefused: the agent has an entity of that name.
        """
        entity = await self._entity(name, entity_type, embedding, entity_id, created_at, columns)
        await self._port.write(CreateEntity(entity=entity))
        return entity

    async def get_or_create_entity(
        self,
        name: str,
        *,
        entity_type: str = "person",
        embedding: Sequence[float] | None = None,
        **columns: Any,
    ) -> Entity:
        """The agent's entity of that name; where there is none, a new one.

        However many ask at once, it is one and the same for all.
        """
        found = await self.find_entity(name)
        if found is None:
            entity = await self._entity(name, entity_type, embedding, None, None, columns)
            await self._port.write(EnsureEntity(entity=entity))
            found = await self.find_entity(name) or entity
        return found

    async def _entity(
        self,
        name: str,
        entity_type: str,
        embedding: Sequence[float] | None,
        entity_id: str | None,
        created_at: datetime | None,
        columns: Mapping[str, Any],
    ) -> Entity:
        moment = values.moment("created_at", created_at) or values.now()
        return Entity(
            id=entity_id or values.new_id(),
            agent_id=self.agent,
            name=name,
            entity_type=entity_type,
            embedding=await self._packed(embedding),
            created_at=moment,
            updated_at=moment,
            **columns,
        )

    async def get_entity(self, entity_id: str) -> Entity | None:
        """The entity, or None where there is none that this agent may see."""
        entity: Entity | None = await self._port.read("entities", "get_entity", entity_id=entity_id)
        return entity

    async def find_entity(self, name: str) -> Entity | None:
        """The agent's own entity of that very name, or None."""
        entity: Entity | None = await self._port.read("entities", "find_entity", name=name)
        return entity

    async def list_entities(
        self,
        *,
        entity_type: str | None = None,
        visibility: str | None = None,
        min_bond: float = 0.0,
        limit: int = 50,
        offset: int = 0,
    ) -> list[Entity]:
        """Entities that this agent may see, the strongest bonds first, then by name.

        Args:
            entity_type, visibility: Only those that have this one.
            min_bond: Least `bond_strength`, 0 to 1.
            limit, offset: Most entities, up to 10,000, and how many of the first to pass over.

        Raises:
            InvalidValue: a filter or a limit that cannot be.
        """
        found: list[Entity] = await self._port.read(
            "entities",
            "list_entities",
            entity_type=entity_type,
            visibility=visibility,
            min_bond=min_bond,
            limit=limit,
            offset=offset,
        )
        return found

    async def entities_of_item(self, item_id: str) -> list[Mention]:
        """Whom and what an item mentions, the strongest bonds first, then by name."""
        found: list[Mention] = await self._port.read(
            "entities", "entities_of_item", item_id=item_id
        )
        return found

    async def update_entity(self, entity_id: str, **changes: Any) -> None:
        """Change columns of an entity of this agent's own.

        Raises:
            InvalidValue: a value that no table may hold, or a column that stays as it is.
            CommandRefused: there is no such entity, or another one of that name.
        """
        await self._pack_in(changes)
        await self._port.write(
            UpdateEntity(agent_id=self.agent, entity_id=entity_id, changes=changes, at=values.now())
        )

    async def delete_entity(self, entity_id: str) -> None:
        """Forget an entity; what mentions it stays. One that is not there is no error."""
        await self._port.write(DeleteEntity(agent_id=self.agent, entity_id=entity_id))

    async def link_entity(self, item_id: str, entity_id: str, *, role: str = "mentioned") -> None:
        """Note that an item mentions an entity, both this agent's own; twice counts once.

        Raises:
            CommandRefused: there is no such item or entity.
        """
        await self._port.write(
            LinkEntity(
                agent_id=self.agent,
                item_id=item_id,
                entity_id=entity_id,
                role=role,
                at=values.now(),
            )
        )

    async def unlink_entity(self, item_id: str, entity_id: str) -> None:
        """An item does not mention an entity after all; where it does not, nothing happens."""
        await self._port.write(
            UnlinkEntity(agent_id=self.agent, item_id=item_id, entity_id=entity_id, at=values.now())
        )


class EntityReads(Reads):
    """Reads of entities."""

    def __init__(self, database: Database, dimensions: int) -> None:
        super().__init__(database, dimensions)
        self._rows = Rows(Entity, database.spelling, "entities")

    async def get_entity(self, agent: str, entity_id: str) -> Entity | None:
        values.text("entity_id", entity_id)
        return await self._one(agent, self._rows, SQL["get_entity"], entity_id)

    async def find_entity(self, agent: str, name: str) -> Entity | None:
        return await self._one(agent, self._rows, SQL["find_entity"], values.text("name", name))

    async def list_entities(
        self,
        agent: str,
        *,
        entity_type: str | None = None,
        visibility: str | None = None,
        min_bond: float = 0.0,
        limit: int = 50,
        offset: int = 0,
    ) -> list[Entity]:
        if entity_type:
            values.one_of("entity_type", entity_type, ENTITY_TYPES)
        if visibility:
            values.one_of("visibility", visibility, VISIBILITIES)
        return await self._all(
            agent,
            self._rows,
            SQL["list_entities"],
            entity_type or "",
            visibility or "",
            values.number("min_bond", min_bond, 0, 1),
            values.at_most("limit", limit, 10_000),
            values.at_most("offset", offset, 2**53),
        )

    async def entities_of_item(self, agent: str, item_id: str) -> list[Mention]:
        values.text("item_id", item_id)
        sql = SQL["entities_of_item"] % self._rows.selected
        found = await self._database.fetch(sql, agent, item_id, scope=agent)
        return [Mention(self._rows.from_row(row), str(row[-1])) for row in found]


class EntityWrites(NamedWrites):
    """Applies commands on entities."""

    def __init__(self, database: Database) -> None:
        rows = Rows(Entity, database.spelling, "entities")
        super().__init__(database, rows, "entity", SQL, CHANGES)

    def ways(self) -> Mapping[type[Command], Way]:
        return {
            CreateEntity: Way(self._create),
            EnsureEntity: Way(self._ensure),
            UpdateEntity: each(self._update),
            DeleteEntity: each(self._delete),
            LinkEntity: each(self._link),
            UnlinkEntity: each(self._unlink),
        }

    async def _create(self, transaction: Transaction, commands: Sequence[CreateEntity]) -> None:
        await self._insert(transaction, "create", [command.entity for command in commands])

    async def _ensure(self, transaction: Transaction, commands: Sequence[EnsureEntity]) -> None:
        await self._insert(transaction, "ensure", [command.entity for command in commands])

    async def _update(self, transaction: Transaction, command: UpdateEntity) -> None:
        target = (command.entity_id, command.agent_id)
        await self._update_row(transaction, *target, command.changes, command.at)

    async def _delete(self, transaction: Transaction, command: DeleteEntity) -> None:
        await self._delete_row(transaction, command.entity_id, command.agent_id)

    async def _link(self, transaction: Transaction, command: LinkEntity) -> None:
        link = (command.item_id, command.entity_id, command.role, command.agent_id)
        if await transaction.fetch(SQL["link"], *link):
            at = self._spelling.time_in(command.at)
            await transaction.fetch(SQL["mentioned"], command.entity_id, at)
        elif not await transaction.fetch(SQL["relink"], *link):
            target = (command.item_id, command.entity_id, command.agent_id)
            raise await self._explain_no_link(transaction, *target)

    async def _unlink(self, transaction: Transaction, command: UnlinkEntity) -> None:
        target = (command.item_id, command.entity_id, command.agent_id)
        if await transaction.fetch(SQL["unlink"], *target):
            at = self._spelling.time_in(command.at)
            await transaction.fetch(SQL["unmentioned"], command.entity_id, at)
