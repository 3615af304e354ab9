"""Reflections: written down, and found by what they are about."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from storage import CommandRefused, InvalidValue
from storage.adapter import DatabaseAdapter

pytestmark = [pytest.mark.anyio, pytest.mark.kept_database]

START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def test_a_reflection_comes_back_as_it_was_written(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    columns: dict[str, Any] = {
        "trigger_type": "evening_cron",
        "content": "a good day 🌅",
        "period_start": START - HOUR,
        "period_end": START,
        "lessons_extracted": ["slow down", "ask"],
        "entities_involved": ["Ada"],
        "self_insights": ["patient"],
        "mood": "calm",
        "reflection_id": "r-1",
    }
    written = await memory.create_reflection(**columns, created_at=START)
    assert await memory.get_reflection("r-1") == written
    assert await memory.create_reflection(**columns, created_at=START) == written
    for change in ({"content": "another day"}, {"created_at": START + HOUR}):
        with pytest.raises(CommandRefused, match="another reflection r-1 already"):
            await memory.create_reflection(**({"created_at": START} | columns | change))
    with pytest.raises(InvalidValue, match="period_end: is before"):
        await memory.create_reflection(**(columns | {"period_end": START - 2 * HOUR}))
    assert await memory.list_reflections() == [written]


async def test_reflections_are_listed_by_trigger_and_period(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    for name, start, end, made in (
        ("day", 0, 24, 25),
        ("evening", 18, 24, 24),
        ("moment", None, None, 20),
        ("until", None, 10, 30),
    ):
        await memory.create_reflection(
            trigger_type="manual" if start is None else "evening_cron",
            content="x",
            reflection_id=name,
            period_start=None if start is None else START + start * HOUR,
            period_end=None if end is None else START + end * HOUR,
            created_at=START + made * HOUR,
        )

    async def ids(since: int | None, until: int | None, **filters: Any) -> list[str]:
        first = None if since is None else START + since * HOUR
        behind = None if until is None else START + until * HOUR
        found = await memory.list_reflections(since=first, until=behind, **filters)
        return [reflection.id for reflection in found]

    assert await ids(None, None) == ["until", "day", "evening", "moment"]
    assert await ids(None, None, limit=2, offset=1) == ["day", "evening"]
    assert await ids(None, None, trigger_type="manual") == ["until", "moment"]
    assert await ids(11, 18) == ["day"]
    assert await ids(20, 21) == ["day", "evening", "moment"]
    assert await ids(24, None) == ["day", "evening"]
    assert await ids(None, 18) == ["until", "day"]
    assert await ids(5, 11) == ["until", "day"]
    with pytest.raises(InvalidValue, match="trigger_type"):
        await memory.list_reflections(trigger_type="whim")
