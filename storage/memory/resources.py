"""Resources: where memory items come from."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from storage import queries
from storage.database import Database, Transaction, Violation
from storage.domain import Reads, View, Way, Writes, each, taken
from storage.model import values
from storage.model.command import Command
from storage.model.items import VISIBILITIES
from storage.model.resources import MODALITIES, CreateResource, DeleteResource, Resource
from storage.rows import Rows

SQL = queries.load("storage.memory", "resources.sql")


class Resources(View):
    """What one agent may do with resources."""

    async def create_resource(
        self,
        url: str = "",
        *,
        modality: str = "text",
        embedding: Sequence[float] | None = None,
        resource_id: str | None = None,
        created_at: datetime | None = None,
        **columns: Any,
    ) -> Resource:
        """Note where facts come from; items name it by `resource_id`.

        Args:
            url: Up to 10,000 characters.
            modality: text, image, audio, conversation or document.
            embedding: Numbers, as many as this storage's dimension.
            resource_id: A UUIDv7 is made where none is given.
            columns: Other columns of `Resource`.

        Returns:
            The resource as it was written.

        Raises:
            InvalidValue: a value that no table may hold.
        """
        moment = values.moment("created_at", created_at) or values.now()
        resource = Resource(
            id=resource_id or values.new_id(),
            agent_id=self.agent,
            url=url,
            modality=modality,
            embedding=await self._packed(embedding),
            created_at=moment,
            updated_at=moment,
            **columns,
        )
        await self._port.write(CreateResource(resource=resource))
        return resource

    async def get_resource(self, resource_id: str) -> Resource | None:
        """The resource, or None where there is none that this agent may see."""
        resource: Resource | None = await self._port.read(
            "resources", "get_resource", resource_id=resource_id
        )
        return resource

    async def list_resources(
        self,
        *,
        modality: str | None = None,
        visibility: str | None = None,
        url: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[Resource]:
        """Resources that this agent may see, the newest first.

        Args:
            modality, visibility, url: Only those that have this one.
            limit, offset: Most resources, up to 10,000, and how many of the newest to pass over.

        Raises:
            InvalidValue: a filter or a limit that cannot be.
        """
        found: list[Resource] = await self._port.read(
            "resources",
            "list_resources",
            modality=modality,
            visibility=visibility,
            url=url,
            limit=limit,
            offset=offset,
        )
        return found

    async def delete_resource(self, resource_id: str) -> None:
        """Forget a resource of this agent's own; items that came from it then name none.

        One that is not there is no error.
        """
        await self._port.write(DeleteResource(agent_id=self.agent, resource_id=resource_id))


class ResourceReads(Reads):
    """Reads of resources."""

    def __init__(self, database: Database, dimensions: int) -> None:
        super().__init__(database, dimensions)
        self._rows = Rows(Resource, database.spelling, "resources")

    async def get_resource(self, agent: str, resource_id: str) -> Resource | None:
        values.text("resource_id", resource_id)
        return await self._one(agent, self._rows, SQL["get_resource"], resource_id)

    async def list_resources(
        self,
        agent: str,
        *,
        modality: str | None = None,
        visibility: str | None = None,
        url: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[Resource]:
        if modality:
            values.one_of("modality", modality, MODALITIES)
        if visibility:
            values.one_of("visibility", visibility, VISIBILITIES)
        return await self._all(
            agent,
            self._rows,
            SQL["list_resources"],
            modality or "",
            visibility or "",
            values.text("url", url or ""),
            values.at_most("limit", limit, 10_000),
            values.at_most("offset", offset, 2**53),
        )


class ResourceWrites(Writes):
    """Applies commands on resources; many new ones at once."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._rows = Rows(Resource, database.spelling, "resources")
        self._keys = ((self._rows.columns.index("id"),),)

    def ways(self) -> Mapping[type[Command], Way]:
        return {CreateResource: Way(self._create), DeleteResource: each(self._delete)}

    async def _create(self, transaction: Transaction, commands: Sequence[CreateResource]) -> None:
        rows = [self._rows.to_row(command.resource) for command in commands]
        try:
            await transaction.execute_many(SQL["create_resource"], rows, keys=self._keys)
        except Violation as error:
            if "created_at" in str(error):
                raise taken("resource", rows[0][0]) from error
            raise

    async def _delete(self, transaction: Transaction, command: DeleteResource) -> None:
        await transaction.fetch(SQL["delete_resource"], command.resource_id, command.agent_id)
