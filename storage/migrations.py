"""The schema, as numbered SQL files: each is run once, under a lock, and remembered with the
checksum of its text. Each database has a folder `schema/` of its own; the numbers go together.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.resources import files
from typing import NamedTuple

from .errors import SchemaMismatch


class Migration(NamedTuple):
    """One file of `schema/`."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


class Status(NamedTuple):
    """A migration, and when it was run; None where it was not."""

    migration: Migration
    applied_at: datetime | None


def known(package: str) -> list[Migration]:
    """All migrations that `package` has, in order."""
    found = [
        Migration(int(file.name[:4]), file.name[5:-4], file.read_text(encoding="utf-8"))
        for file in files(package).joinpath("schema").iterdir()
        if file.name.endswith(".sql")
    ]
    return sorted(found)


def pending(
    applied: Mapping[int, str], migrations: Sequence[Migration], database: str, remedy: str
) -> list[Migration]:
    """The migrations that are to be run.

    Args:
        applied: Versions that were run, with the checksums of their texts.
        database: What to call the database in an error.
        remedy: What to do if it is not the one that was meant.

    Raises:
        SchemaMismatch: it is newer than this program, or a migration it has was another text.
    """
    newest = max((migration.version for migration in migrations), default=0)
    if max(applied, default=0) > newest:
        raise SchemaMismatch(
            f"the {database} has schema {max(applied)}, this program knows {newest}: update it "
            f"(`pip install -U argentbus`), or {remedy}"
        )
    for migration in migrations:
        if applied.get(migration.version, migration.checksum) != migration.checksum:
            raise SchemaMismatch(
                f"the {database}'s schema {migration.version} ({migration.name}) was made by "
                f"another text than this program's: it comes from another version; {remedy}"
            )
    return [migration for migration in migrations if migration.version not in applied]
