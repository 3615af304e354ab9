"""Resources: where facts come from, a page, a file, a conversation."""

from datetime import datetime
from typing import Final, Self

import msgspec

from . import values
from .command import Command, check_target
from .items import VISIBILITIES

MODALITIES: Final = ("text", "image", "audio", "conversation", "document")


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `resources`.

    Attributes:
        id: A UUIDv7, unless another one was given.
        agent_id: Whose it is.
        url, local_path: Where it is to be found.
        modality: text, image, audio, conversation or document.
        caption: What it is, in words.
        embedding: Little-endian float32, or None; `vector` has its numbers.
        visibility: `private` (its agent's), `team`, `family` or `public`.
        created_at, updated_at: With a time zone.

    Example:
        page: Resource = await mine.memory.create_resource("https://example.org/", caption="a page")
        item = await mine.memory.create_item(
            summary="it is short", memory_type="knowledge", resource_id=page.id
        )
        print((await mine.memory.get_resource(item.resource_id)).caption)  #> a page
    """

    id: str
    agent_id: str
    url: str = ""
    modality: str = "text"
    local_path: str | None = None
    caption: str | None = None
    embedding: bytes | None = None
    visibility: str = "private"
    created_at: datetime
    updated_at: datetime

    @property
    def vector(self) -> list[float] | None:
        """The embedding as numbers."""
        return None if self.embedding is None else values.unpack_vector(self.embedding)


class CreateResource(Command, frozen=True, kw_only=True, tag=True):
    """Note where facts come from."""

    area = "memory"

    resource: Resource

    @property
    def agent_id(self) -> str:
        return self.resource.agent_id

    def checked(self, dimensions: int) -> Self:
        checked_resource(self.resource, dimensions)
        return self


class DeleteResource(Command, frozen=True, kw_only=True, tag=True):
    """Forget a resource of the agent's own; items that came from it stay, and name none."""

    area = "memory"

    agent_id: str
    resource_id: str

    def checked(self, dimensions: int) -> Self:
        check_target("resource_id", self.resource_id)
        return self


COMMANDS: Final = (CreateResource, DeleteResource)


def checked_resource(resource: Resource, dimensions: int) -> Resource:
    """Return `resource` with every value checked.

    Raises:
        InvalidValue: a value that no table may hold.
    """
    values.text("id", resource.id, least=1, most=128)
    values.text("agent_id", resource.agent_id, least=1, most=128)
    values.text("url", resource.url, most=10_000)
    values.one_of("modality", resource.modality, MODALITIES)
    values.optional_text("local_path", resource.local_path, most=10_000)
    values.optional_text("caption", resource.caption)
    values.check_packed("embedding", resource.embedding, dimensions)
    values.one_of("visibility", resource.visibility, VISIBILITIES)
    values.known_moment("created_at", resource.created_at)
    values.known_moment("updated_at", resource.updated_at)
    return resource
