"""Changing the dimension of a PostgreSQL database's vectors: the type of the columns."""

from typing import Any, Final

import msgspec

from storage.dimensions import TABLES, Change, counted
from storage.settings import without_password

from . import catalog
from .catalog import OPERATOR_ROLE, SCHEMA_ROLE
from .migrations import connected

#: Seconds that a change waits for who is at work in the tables, while all others wait behind it.
PATIENCE: Final = 10

#: Indexes of the tables, with the size of each in bytes.
_INDEXES: Final = """
SELECT i.indexrelid::regclass::text, pg_relation_size(i.indexrelid)
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY ($1)
ORDER BY 1
"""


async def look(url: str, wanted: int) -> Change:
    """What a change to `wanted` dimensions would do.

    Args:
        url: Of a user who may take on the role argentbus_operator, as the sidecar's may.

    Raises:
        DatabaseUnavailable: the database cannot be reached, or not with this user.
        SchemaMismatch: its schema is older or newer than this program, or another program's.
    """
    async with connected(url) as connection:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute(f"SET LOCAL ROLE {OPERATOR_ROLE}")
            return await _found(connection, without_password(url), wanted)


async def change(url: str, wanted: int) -> Change:
    """Drop the vectors, and have `wanted` dimensions from now on: all of it or nothing.

    The tables are written anew, with their indexes; nobody reads or writes them meanwhile.

    Args:
        url: Of a user who may take on the role argentbus_schema.

    Raises:
        DatabaseUnavailable: as `look`; or others do not let go of the tables.
        SchemaMismatch: as `look`.
    """
    async with connected(url) as connection, connection.transaction():
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('argentbus.schema', 0));"
            f"SET LOCAL ROLE {SCHEMA_ROLE}; SET LOCAL lock_timeout = '{PATIENCE}s';"
            f"LOCK TABLE {', '.join(TABLES)} IN ACCESS EXCLUSIVE MODE"
        )
        for table in TABLES:  # that the owner sees the rows that it counts
            await connection.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        found = await _found(connection, without_password(url), wanted)
        if found.needed:
            for table in TABLES:
                await connection.execute(
                    f"ALTER TABLE {table} ALTER COLUMN embedding TYPE vector({int(wanted)}) "
                    f"USING NULL::vector({int(wanted)})"
                )
        for table in TABLES:
            await connection.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    return msgspec.structs.replace(found, made=found.needed)


async def _found(connection: Any, where: str, wanted: int) -> Change:
    await catalog.refuse_missing(connection, where)
    stored = await catalog.stored_dimensions(connection, where)
    indexes = await connection.fetch(_INDEXES, list(TABLES))
    return Change(
        f"PostgreSQL at {where}",
        stored,
        wanted,
        await counted(connection.fetch, stored),
        [str(row[0]) for row in indexes],
        sum(int(row[1]) for row in indexes),
    )
