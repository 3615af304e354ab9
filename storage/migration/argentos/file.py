"""An ArgentOS file: what is in it, and its rows. It is only read."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, Literal

from storage.errors import DatabaseUnavailable, SchemaMismatch

#: Tables by which a file is known.
_KNOWN_BY: Final[dict[Literal["memory.db", "dashboard.db"], frozenset[str]]] = {
    "memory.db": frozenset({"memu_meta", "memory_items"}),
    "dashboard.db": frozenset({"tasks", "teams", "team_members"}),
}


class SourceFile:
    """An open file. Made by `SourceFile.open`.

    Attributes:
        kind: `memory.db` or `dashboard.db`, whatever it is called.
        version: Of its schema, where it says one.
        tables: Those with rows of its own: their columns, in their order.
        keys: The primary key of each of these; `rowid`, which is a column then, where it has none.
        internal: All others, with the reason: indexes that are made of the rows.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        names = self._column("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        self.kind = _kind(names, path)
        self.internal = self._internal(names)
        self.tables: dict[str, tuple[str, ...]] = {}
        self.keys: dict[str, tuple[str, ...]] = {}
        for name in names:
            if name in self.internal:
                continue
            columns = connection.execute(
                "SELECT name, pk FROM pragma_table_info(?) ORDER BY cid", (name,)
            ).fetchall()
            keyed = sorted((place, column) for column, place in columns if place)
            self.keys[name] = tuple(column for _, column in keyed) or ("rowid",)
            own = () if keyed else ("rowid",)
            self.tables[name] = (*own, *(column for column, _ in columns))
        self.version = self._version()

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator["SourceFile"]:
        """Open the file `path` until the context ends. All reads are as of one moment.

        Raises:
            DatabaseUnavailable: it is not there, cannot be read, or is damaged.
            SchemaMismatch: it is another program's.
        """
        try:
            uri = f"{path.absolute().as_uri()}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
                # What is not UTF-8 is for the checks to refuse, by its name.
                connection.text_factory = _text
                connection.execute("BEGIN")
                yield cls(connection, path)
        except sqlite3.Error as error:
            raise DatabaseUnavailable(f"the ArgentOS file {path}: {error}") from error

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        """The rows of one of `tables`, in the order of its key: their columns by name."""
        columns = self.tables[table]
        order = ", ".join(map(_quoted, self.keys[table]))
        cursor = self._connection.execute(
            f"SELECT {', '.join(map(_quoted, columns))} FROM {_quoted(table)} ORDER BY {order}"  # noqa: S608 (names of the file's own, quoted)
        )
        for row in cursor:
            yield dict(zip(columns, row, strict=True))

    def _column(self, sql: str) -> list[str]:
        return [str(row[0]) for row in self._connection.execute(sql)]

    def _internal(self, names: list[str]) -> dict[str, str]:
        found = {name: "SQLite's own" for name in names if name.startswith("sqlite_")}
        virtual = self._connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE%'"
        )
        for name, sql in virtual.fetchall():
            what = "full-text" if "fts" in sql.lower() else "vector"
            reason = f"a {what} index, made of the rows that it is for"
            found |= {one: reason for one in names if one == name or one.startswith(f"{name}_")}
        return found

    def _version(self) -> int | None:
        if "memu_meta" not in self.tables:
            return None
        said = self._column("SELECT value FROM memu_meta WHERE key = 'schema_version'")
        return int(said[0]) if said and said[0].isascii() and said[0].isdigit() else None


def _kind(names: list[str], path: Path) -> Literal["memory.db", "dashboard.db"]:
    for kind, known_by in _KNOWN_BY.items():
        if known_by <= set(names) and "schema_migrations" not in names:
            return kind
    shown = ", ".join(names[:5]) or "no tables"
    raise SchemaMismatch(
        f"{path} is no file of ArgentOS (it has {shown}): name its memory.db or dashboard.db"
    )


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
