"""Knowledge collections: documents that agents share by grant, and the commands on them."""

import re
from datetime import datetime
from typing import ClassVar, Final, Self

import msgspec

from storage.errors import InvalidValue

from . import values
from .command import Command, check_target

_BETWEEN: Final = re.compile(r"[^a-z0-9._-]+")
_TAG: Final = re.compile(r"[a-z0-9._-]{1,256}")


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `knowledge_collections`. Seen by its owners and by whom it was granted to read.

    Attributes:
        collection_tag: Short name, unique over all agents (see `tag_of`).
        owner_agent_id: Who made it; None where operators did.
    """

    id: str
    collection_name: str
    collection_tag: str
    owner_agent_id: str | None = None
    created_at: datetime
    updated_at: datetime


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `knowledge_collection_grants`. Seen by whom it is for, and by owners.

    Attributes:
        is_owner: May do everything that the collection's own agent may.
    """

    id: str
    collection_id: str
    agent_id: str
    can_read: bool = True
    can_write: bool = False
    is_owner: bool = False
    created_at: datetime
    updated_at: datetime


class KnowledgeCommand(Command, frozen=True, kw_only=True):
    """What is common to commands on collections and what is in them."""

    area = "knowledge"
    by_operators: ClassVar[bool] = True


class CreateCollection(KnowledgeCommand, frozen=True, kw_only=True, tag=True):
    """Make a collection. Its tag is nobody else's."""

    by: str
    collection: Collection

    @property
    def agent_id(self) -> str:
        return self.by

    def checked(self, dimensions: int) -> Self:
        one = self.collection
        values.text("id", one.id, least=1, most=128)
        values.text("collection_name", one.collection_name, least=1, most=256)
        if not _TAG.fullmatch(values.text("collection_tag", one.collection_tag)):
            raise InvalidValue(
                "collection_tag",
                f"is {ascii(one.collection_tag)[:60]}, and must be of a-z, 0-9, '.', '_' and '-'",
            )
        if one.owner_agent_id is not None:
            values.text("owner_agent_id", one.owner_agent_id, least=1, most=128)
        if self.by and self.by != one.owner_agent_id:
            raise InvalidValue("owner_agent_id", f"is not {self.by}, who makes the collection")
        values.known_moment("created_at", one.created_at)
        values.known_moment("updated_at", one.updated_at)
        return self


class DeleteCollection(KnowledgeCommand, frozen=True, kw_only=True, tag=True):
    """Delete a collection with all that is in it."""

    agent_id: str
    collection_id: str

    def checked(self, dimensions: int) -> Self:
        check_target("collection_id", self.collection_id)
        return self


class GrantCollection(KnowledgeCommand, frozen=True, kw_only=True, tag=True):
    """Let an agent into a collection, or change what it may there.

    Attributes:
        grant: Its id is used where the agent has none yet.
    """

    by: str
    grant: Grant

    @property
    def agent_id(self) -> str:
        return self.by

    def checked(self, dimensions: int) -> Self:
        grant = self.grant
        values.text("id", grant.id, least=1, most=128)
        check_target("collection_id", grant.collection_id)
        check_target("agent_id", grant.agent_id)
        for field in ("can_read", "can_write", "is_owner"):
            values.truth(field, getattr(grant, field))
        if not (grant.can_read or grant.can_write or grant.is_owner):
            raise InvalidValue("can_read", "is false like all else: use `revoke` for that")
        values.known_moment("created_at", grant.created_at)
        values.known_moment("updated_at", grant.updated_at)
        return self


class RevokeGrant(KnowledgeCommand, frozen=True, kw_only=True, tag=True):
    """Take back what an agent was granted."""

    by: str
    collection_id: str
    grantee: str

    @property
    def agent_id(self) -> str:
        return self.by

    def checked(self, dimensions: int) -> Self:
        check_target("collection_id", self.collection_id)
        check_target("grantee", self.grantee)
        return self


COMMANDS: Final = (CreateCollection, DeleteCollection, GrantCollection, RevokeGrant)


def tag_of(name: str) -> str:
    """The tag of a collection: its name in lower case, with `-` for each run of characters that a
    tag has not.

    Raises:
        InvalidValue: nothing of the name is left.
    """
    tag = _BETWEEN.sub("-", values.text("collection_name", name, least=1, most=256).lower())
    if not tag.strip("-"):
        raise InvalidValue(
            "collection_name",
            f"{ascii(name)[:60]} has nothing that a tag could be made of (a-z, 0-9, '.', '_'): "
            "give a tag with it",
        )
    return tag
