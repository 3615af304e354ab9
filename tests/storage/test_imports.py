"""Imported rows: kept as they are, once each however often they come, their agent's own."""

import math
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from bus import Bus
from storage import CommandRefused, ImportedRow, InvalidValue, StorageConfig
from storage.adapter import DatabaseAdapter
from storage.client import StorageClient
from storage.model.imports import KeepRow, imported_id
from tests.storage.backends import Raw
from tests.storage.sidecars import sidecar
from tests.storage.test_apply import at
from tests.storage.wrong import IDS, NO_TIME, OBJECTS

pytestmark = [pytest.mark.anyio, pytest.mark.kept_database]

SOURCE = "argentos memory.db"
ROW = ImportedRow(
    id=imported_id("scout", SOURCE, "skills", "1"), agent_id="scout", source=SOURCE,
    source_table="skills", source_key="1", content={"a": [1, None, "x"]},
    imported_at=datetime(2026, 1, 2, tzinfo=UTC),
)  # fmt: skip


async def test_a_row_is_kept_once_and_its_last_content_counts(
    storage: DatabaseAdapter, raw: Raw
) -> None:
    imports = storage.scoped("scout").imports
    first = await imports.keep(SOURCE, "skills", "1", {"a": 1})
    await imports.keep(SOURCE, "skills", "2", {"a": 2})
    await imports.keep(SOURCE, "events", "1", {"a": 3})
    again = await imports.keep(SOURCE, "skills", "1", {"b": {"c": None}})
    await storage.scoped("writer").imports.keep(SOURCE, "skills", "1", {"a": "theirs"})
    assert again.id == first.id
    rows = await imports.list_rows()
    assert [(row.source_table, row.source_key, row.content) for row in rows] == [
        ("events", "1", {"a": 3}),
        ("skills", "1", {"b": {"c": None}}),
        ("skills", "2", {"a": 2}),
    ]
    assert await imports.list_rows(source_table="skills", limit=1, offset=1) == [rows[2]]
    await storage.scoped("writer").imports.forget(first.id)
    assert await imports.list_rows() == rows, "it is not theirs"
    await imports.forget(first.id)
    assert await imports.list_rows() == [rows[0], rows[2]]
    assert (await storage.stats()).imported_rows == 3


async def test_a_batch_may_have_a_row_twice(storage: DatabaseAdapter) -> None:
    later = msgspec.structs.replace(ROW, content={"a": 2})
    await storage.apply([KeepRow(row=ROW), KeepRow(row=later)], position=at(2))
    assert await storage.scoped("scout").imports.list_rows() == [later]


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        *(("agent_id", *case) for case in IDS),
        ("source", "", "0 characters"),
        ("source", "x" * 257, "257"),
        ("source_table", "\0", "NUL"),
        ("source_key", "", "0 characters"),
        *(("content", *case) for case in OBJECTS),
        ("content", {"a": math.inf}, "NaN"),
        *(("imported_at", *case) for case in NO_TIME),
        ("id", "x", "imported_id"),
    ],
)
async def test_values_that_cannot_be_are_refused_by_name(
    storage: DatabaseAdapter, field: str, value: Any, problem: str
) -> None:
    row = msgspec.structs.replace(ROW, **{field: value})
    with pytest.raises(InvalidValue, match=f"^{field}: .*{problem}"):
        await storage.write(KeepRow(row=row))
    with pytest.raises(CommandRefused, match=problem):
        await storage.apply([KeepRow(row=row)])
    assert await storage.operator().imports.list_rows() == []


async def test_over_the_bus_it_is_the_same(bus: Bus, config: StorageConfig) -> None:
    async with sidecar(config), bus.join("scout") as scout:
        imports = StorageClient(scout).imports
        kept = await imports.keep(SOURCE, "skills", "1", {"a": [1]})
        assert await imports.list_rows(source_table="skills") == [kept]
        await imports.forget(kept.id)
        assert await imports.list_rows() == []
        with pytest.raises(InvalidValue, match="^source: has 0 characters"):
            await imports.keep("", "skills", "1", {})
