"""What a database says of itself: its schema, its constraints, the types of its columns."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

from storage import migrations
from storage.dimensions import mismatch
from storage.errors import SchemaMismatch
from storage.migrations import Migration

#: Who may do what. Nobody logs in as one of these; who logs in may take them on.
SCHEMA_ROLE: Final = "argentbus_schema"
APP_ROLE: Final = "argentbus_app"
OPERATOR_ROLE: Final = "argentbus_operator"
SIDECAR_ROLE: Final = "argentbus_sidecar"

_CONSTRAINTS: Final = """
SELECT c.conname, string_agg(c.conrelid::regclass || '.' || a.attname, ', ' ORDER BY k.place)
FROM pg_constraint AS c
CROSS JOIN LATERAL unnest(c.conkey) WITH ORDINALITY AS k (attnum, place)
JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.attnum
WHERE c.contype IN ('p', 'u') AND c.connamespace = 'public'::regnamespace
GROUP BY c.oid, c.conname
"""

_TYPES: Final = """
SELECT c.relname, a.attname, format_type(a.atttypid, NULL)
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
  AND a.attnum > 0 AND NOT a.attisdropped
"""


#: The dimension of the vectors: one row, unless somebody else was at it.
DIMENSIONS: Final = """
SELECT DISTINCT a.atttypmod
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
  AND a.attname = 'embedding' AND NOT a.attisdropped
"""


class Connection(Protocol):
    """As much of a connection as is needed to look."""

    async def fetch(self, sql: str, *args: Any) -> Sequence[Any]: ...


class Catalog(NamedTuple):
    """What was found.

    Attributes:
        constraints: The columns of each key, as SQLite names them in its errors.
        types: Of each column, by table and name.
        dimensions: Of embeddings.
    """

    constraints: dict[str, str]
    types: dict[tuple[str, str], str]
    dimensions: int


async def applied(connection: Connection) -> dict[int, str]:
    """Versions of the schema that were run, with their checksums; none where there is none.

    Raises:
        SchemaMismatch: the database is another program's.
    """
    rows = await connection.fetch(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
    )
    names = [str(row[0]) for row in rows]
    if "schema_migrations" not in names:
        ours = {"memory_items", "tasks", "positions", "agents", "teams", "team_members"}
        if taken := sorted(ours.intersection(names)):
            raise SchemaMismatch(
                f"the PostgreSQL database is of another program (it has the tables "
                f"{', '.join(taken)}): name another database with --postgres-url"
            )
        return {}
    rows = await connection.fetch("SELECT version, checksum FROM schema_migrations")
    return {int(row[0]): str(row[1]) for row in rows}


async def missing(connection: Connection) -> list[Migration]:
    """The migrations that were not run.

    Raises:
        SchemaMismatch: the database is newer than this program, or another program's.
    """
    return migrations.pending(
        await applied(connection),
        migrations.known(__package__),
        "PostgreSQL database",
        "name another database with --postgres-url",
    )


async def refuse_missing(connection: Connection, where: str) -> None:
    """See that every migration was run.

    Raises:
        SchemaMismatch: some were not; or as `missing`.
    """
    lacking = await missing(connection)
    if lacking:
        raise SchemaMismatch(
            f"the schema of {where} lacks {len(lacking)} migrations (the first is "
            f"{lacking[0].version:04}_{lacking[0].name}): run `argentbus migrate schema`"
        )


async def read(connection: Connection, where: str, dimensions: int) -> Catalog:
    """Look, and see that it is what this program needs.

    Raises:
        SchemaMismatch: the schema is older or newer, or another text; or its vectors have another
            dimension.
    """
    await refuse_missing(connection, where)
    constraints = {row[0]: row[1] for row in await connection.fetch(_CONSTRAINTS)}
    rows = await connection.fetch(_TYPES)
    stored = await stored_dimensions(connection, where)
    if stored != dimensions:
        raise mismatch(f"PostgreSQL at {where}", stored, dimensions)
    return Catalog(constraints, {(row[0], row[1]): row[2] for row in rows}, stored)


async def stored_dimensions(connection: Connection, where: str) -> int:
    """The dimension of the vectors; 0 where there are no tables yet.

    Raises:
        SchemaMismatch: those of one table have another than those of another.
    """
    found = [int(row[0]) for row in await connection.fetch(DIMENSIONS)]
    if len(found) > 1:
        raise SchemaMismatch(
            f"PostgreSQL at {where} has columns of vectors of {' and '.join(map(str, found))} "
            "dimensions: it was changed by another hand; restore a backup"
        )
    return found[0] if found else 0
