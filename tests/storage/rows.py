"""What stands in a SQLite file, read past the code under test."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any


def query(path: Path, sql: str, *args: Any) -> list[tuple[Any, ...]]:
    """The rows of one statement, by plain sqlite3."""
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        return connection.execute(sql, args).fetchall()


def everything(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the tables that agents fill."""
    return {
        table: query(path, f"SELECT * FROM {table} ORDER BY id")
        for table in ("memory_items", "tasks")
    }
