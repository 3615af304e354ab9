"""Knowledge collections: who has them, and who may read and write in them."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from storage import queries
from storage.database import Database, Transaction, Violation
from storage.domain import Reads, View, Way, Writes, each, taken
from storage.errors import NotFound
from storage.model import values
from storage.model.collections import (
    Collection,
    CreateCollection,
    DeleteCollection,
    Grant,
    GrantCollection,
    RevokeGrant,
    tag_of,
)
from storage.model.command import Command
from storage.rows import Rows

SQL: Final = queries.load("storage.knowledge", "collections.sql")


class Collections(View):
    """What one agent may do with collections.

    The agent that makes one owns it, and so do those to whom it grants that; owners say who else
    reads and writes. Operators may do everything.
    """

    async def create_collection(
        self,
        name: str,
        *,
        tag: str | None = None,
        collection_id: str | None = None,
        owner: str | None = None,
    ) -> Collection:
        """Make a collection, of which this agent is the owner.

        Args:
            name: 1 to 256 characters.
            tag: Unique over all agents; made of the name where none is given (`tag_of`).
            collection_id: A UUIDv7 is made where none is given.
            owner: Where an operator makes it; may be nobody.

        Raises:
            InvalidValue: a value that no table may hold.
            CommandRefused: the tag is taken (over the bus it is set aside instead).
        """
        moment = values.now()
        collection = Collection(
            id=collection_id or values.new_id(),
            collection_name=name,
            collection_tag=tag_of(name if tag is None else tag),
            owner_agent_id=self.agent or owner,
            created_at=moment,
            updated_at=moment,
        )
        await self._port.write(CreateCollection(by=self.agent, collection=collection))
        return collection

    async def get_collection(self, collection: str) -> Collection | None:
        """The collection with that id or tag, or None where this agent may read none such."""
        found: Collection | None = await self._port.read(
            "collections", "get_collection", collection=collection
        )
        return found

    async def list_collections(self, *, limit: int = 50, offset: int = 0) -> list[Collection]:
        """The collections that this agent may read, by their tags."""
        found: list[Collection] = await self._port.read(
            "collections", "list_collections", limit=limit, offset=offset
        )
        return found

    async def delete_collection(self, collection: str) -> None:
        """Delete a collection of this agent's with all that is in it; none there is no error.

        Raises:
            CommandRefused: this agent may read it, and does not own it.
        """
        found = await self.get_collection(collection)
        if found is not None:
            command = DeleteCollection(agent_id=self.agent, collection_id=found.id)
            await self._port.write(command)

    async def grant(
        self,
        collection: str,
        agent: str,
        *,
        can_read: bool = True,
        can_write: bool = False,
        is_owner: bool = False,
    ) -> None:
        """Let an agent into a collection, or change what it may there: as an owner.

        Raises:
            NotFound: there is no such collection that this agent may read.
            CommandRefused: this agent does not own it.
        """
        moment = values.now()
        grant = Grant(
            id=values.new_id(),
            collection_id=await self._readable(collection),
            agent_id=agent,
            can_read=can_read,
            can_write=can_write,
            is_owner=is_owner,
            created_at=moment,
            updated_at=moment,
        )
        await self._port.write(GrantCollection(by=self.agent, grant=grant))

    async def revoke(self, collection: str, agent: str) -> None:
        """Take back what an agent was granted, as an owner; nothing granted is no error.

        Raises:
            NotFound: there is no such collection that this agent may read.
            CommandRefused: this agent does not own it.
        """
        await self._port.write(
            RevokeGrant(
                by=self.agent, collection_id=await self._readable(collection), grantee=agent
            )
        )

    async def list_grants(self, collection: str) -> list[Grant]:
        """The grants in a collection, by agent: all for its owners, for others their own.

        Raises:
            NotFound: there is no such collection that this agent may read.
        """
        found: list[Grant] = await self._port.read(
            "collections", "list_grants", collection_id=await self._readable(collection)
        )
        return found

    async def _readable(self, collection: str) -> str:
        """The id of a collection that this agent may read."""
        found = await self.get_collection(collection)
        if found is None:
            raise not_there(collection, self.agent, "read")
        return found.id

    async def _writable(self, collection: str) -> str:
        """The id of a collection that may be written: what is refused is decided there."""
        found: str | None = await self._port.read("collections", "to_write", collection=collection)
        if found is None:
            raise not_there(collection, self.agent, "write in")
        return found


class CollectionReads(Reads):
    """Reads of collections and grants."""

    def __init__(self, database: Database, dimensions: int) -> None:
        super().__init__(database, dimensions)
        self._rows = Rows(Collection, database.spelling, "knowledge_collections")
        self._grants = Rows(Grant, database.spelling, "knowledge_collection_grants")

    async def get_collection(self, agent: str, collection: str) -> Collection | None:
        values.text("collection", collection)
        return await self._one(agent, self._rows, SQL["get_collection"], collection)

    async def list_collections(
        self, agent: str, *, limit: int = 50, offset: int = 0
    ) -> list[Collection]:
        return await self._all(
            agent,
            self._rows,
            SQL["list_collections"],
            values.at_most("limit", limit, 10_000),
            values.at_most("offset", offset, 2**53),
        )

    async def list_grants(self, agent: str, collection_id: str) -> list[Grant]:
        values.text("collection_id", collection_id)
        return await self._all(agent, self._grants, SQL["list_grants"], collection_id)

    async def to_write(self, agent: str, collection: str) -> str | None:
        found = await self.get_collection(agent, collection)
        if found is not None:
            return found.id
        rows = await self._database.fetch(SQL["own_grant"], agent, collection, scope=agent)
        return str(rows[0][0]) if rows else None


class Rights(NamedTuple):
    """What an agent may do in a collection."""

    read: bool
    write: bool
    own: bool


async def rights(transaction: Transaction, collection_id: str, agent: str) -> Rights | None:
    """What `agent`, empty for operators, may do in a collection; None where there is none."""
    rows = await transaction.fetch(SQL["rights"], collection_id, agent)
    if not rows:
        return None
    owner, can_read, can_write, is_owner = rows[0]
    own = bool(is_owner) or agent in ("", owner)
    return Rights(own or bool(can_read), own or bool(can_write), own)


def not_there(collection: str, agent: str, what: str) -> NotFound:
    """The same, whether there is none or it is not for the agent."""
    return NotFound(
        f"there is no collection {ascii(collection)[1:-1][:100]} that {agent or 'anybody'} may "
        f"{what}: its owners let agents in with `grant`"
    )


class CollectionWrites(Writes):
    """Applies commands on collections and grants."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._rows = Rows(Collection, database.spelling, "knowledge_collections")
        self._grants = Rows(Grant, database.spelling, "knowledge_collection_grants")

    def ways(self) -> Mapping[type[Command], Way]:
        return {
            CreateCollection: each(self._create),
            DeleteCollection: each(self._delete),
            GrantCollection: each(self._grant),
            RevokeGrant: each(self._revoke),
        }

    async def _create(self, transaction: Transaction, command: CreateCollection) -> None:
        new = command.collection
        sql = SQL["collections_like"] % self._rows.selected
        for row in await transaction.fetch(sql, new.id, new.collection_tag):
            known = self._rows.from_row(row)
            if known.id == new.id:
                if known.created_at == new.created_at:
                    return
                raise taken("collection", new.id)
            raise _taken(new)
        try:
            await transaction.fetch(SQL["create_collection"], *self._rows.to_row(new))
        except Violation as error:  # another one's, at the same time
            raise _taken(new) if ".collection_tag" in str(error) else error from error

    async def _delete(self, transaction: Transaction, command: DeleteCollection) -> None:
        found = await rights(transaction, command.collection_id, command.agent_id)
        if found is None or not any(found):
            return
        if not found.own:
            raise not_there(command.collection_id, command.agent_id, "delete")
        await transaction.fetch(SQL["delete_collection"], command.collection_id)

    async def _grant(self, transaction: Transaction, command: GrantCollection) -> None:
        await self._check_owned(transaction, command.grant.collection_id, command.by)
        try:
            await transaction.fetch(SQL["grant"], *self._grants.to_row(command.grant))
        except Violation as error:
            if ".id" in str(error):
                raise taken("grant", command.grant.id) from error
            raise

    async def _revoke(self, transaction: Transaction, command: RevokeGrant) -> None:
        await self._check_owned(transaction, command.collection_id, command.by)
        await transaction.fetch(SQL["revoke"], command.collection_id, command.grantee)

    async def _check_owned(self, transaction: Transaction, collection: str, agent: str) -> None:
        found = await rights(transaction, collection, agent)
        if found is None or not found.own:
            raise not_there(collection, agent, "grant")


def _taken(new: Collection) -> Violation:
    return Violation(
        f"collection_tag: {new.collection_tag} is taken by another collection: give another name, "
        "or a tag of its own"
    )
