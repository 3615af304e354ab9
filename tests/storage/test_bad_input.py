"""Bad input, kind by kind: on both databases the same error, which names the field, and nothing
written. What single columns refuse besides is in `test_values` and `test_part_values`.
"""

import math
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest

from storage import CommandRefused, InvalidValue
from storage.adapter import DatabaseAdapter
from storage.model.items import EmbedItem
from storage.model.values import now
from tests.postgres import PostgresServer, empty
from tests.storage.backends import Raw, opened
from tests.storage.bad import (
    NAIVE,
    OF_IDS,
    OF_NUMBERS,
    OF_PARENTS,
    OF_TEXTS,
    OF_TIMES,
    OF_VECTORS,
    OF_WORDS,
    Call,
    fill,
)

pytestmark = pytest.mark.anyio


class Both(NamedTuple):
    """The two databases, with the same rows."""

    storages: list[DatabaseAdapter]
    raws: list[Raw]


@pytest.fixture
def emptied(postgres_server: PostgresServer, kept_database: str) -> str:
    """The PostgreSQL database, without rows."""
    anyio.run(empty, postgres_server.url(kept_database))
    return kept_database


@pytest.fixture
async def both(path: Path, postgres_server: PostgresServer, emptied: str) -> AsyncIterator[Both]:
    """Both databases, with a row of each kind."""
    async with AsyncExitStack() as stack:
        sides = [
            await stack.enter_async_context(opened(backend, path, postgres_server, emptied))
            for backend in ("sqlite", "postgres")
        ]
        for storage, _ in sides:
            await fill(storage.scoped("a"))
        yield Both([storage for storage, _ in sides], [raw for _, raw in sides])


async def refused(both: Both, call: Call, kind: type[Exception], problem: str, who: str) -> None:
    """See that both refuse in the same words."""
    said = []
    for storage in both.storages:
        with pytest.raises(kind, match=problem) as caught:
            await call(storage.scoped(who))
        assert type(caught.value) is kind
        said.append(str(caught.value))
    assert said[0] == said[1]


async def all_refused(
    both: Both, cases: Iterator[tuple[type[Exception], str, Call]], who: str = "a"
) -> None:
    before = [await raw.everything() for raw in both.raws]
    count = 0
    for kind, problem, call in cases:
        await refused(both, call, kind, problem, who)
        count += 1
    assert count
    assert [await raw.everything() for raw in both.raws] == before, "something was written"


def of(
    field: str, problem: str, calls: list[tuple[str, Call]] | None = None
) -> tuple[type[Exception], str]:
    return InvalidValue, f"^{field}(, a key|\\[0\\])?: {problem}"


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ([1.0, 2.0], "has 2 dimensions, and this storage keeps 3: use the model"),
        ([], "has 0 dimensions, and this storage keeps 3"),
        ([1.0] * 768, "has 768 dimensions, and this storage keeps 3"),
        ([math.nan, 0, 0], "has a NaN or an infinity: leave the embedding out"),
        ([0, 0, -math.inf], "has a NaN or an infinity: leave the embedding out"),
        ([1e39, 0, 0], "has a number that is too large for a float32"),
        (["a", "b", "c"], "must be a list of numbers"),
        ("abc", "is a str, and must be a list of numbers"),
    ],
)
async def test_a_vector_that_is_none(both: Both, bad: Any, problem: str) -> None:
    def cases() -> Iterator[tuple[type[Exception], str, Call]]:
        for call in OF_VECTORS:
            yield (*of("embedding", problem), lambda v, call=call: call(v, bad))

    await all_refused(both, cases())


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ("x" * 10_000_000, "has 10,[0-9]{3},[0-9]{3} characters, and must have"),
        ("a\0b", "has a NUL character, which PostgreSQL cannot hold: remove it"),
        ("a\ud800b", "has half of a surrogate pair: decode the text with errors='replace'"),
        ("a\udfffb", "has half of a surrogate pair"),
    ],
    ids=["10 MB", "NUL", "high surrogate", "low surrogate"],
)
async def test_a_text_that_cannot_be_stored(both: Both, bad: str, problem: str) -> None:
    def cases() -> Iterator[tuple[type[Exception], str, Call]]:
        for field, call in OF_TEXTS:
            yield (*of(field, problem), lambda v, call=call: call(v, bad))

    await all_refused(both, cases())


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (NAIVE, "must be a datetime with a time zone, such as datetime.now\\(UTC\\)"),
        ("2026-01-02T00:00:00Z", "(must be a datetime with a time zone|.*Expected `datetime)"),
        (datetime(1, 1, 1, tzinfo=UTC), "must lie between the years 1 and 9999"),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))), "must lie between the years"),
        (datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-5))), "must lie between"),
    ],
)
async def test_a_date_out_of_range(both: Both, bad: Any, problem: str) -> None:
    def cases() -> Iterator[tuple[type[Exception], str, Call]]:
        for field, call in OF_TIMES:
            yield (*of(field, problem), lambda v, call=call: call(v, bad))

    await all_refused(both, cases())


async def test_a_number_out_of_range(both: Both) -> None:
    cases = ((*of(field, ".*(must be|has a NaN)"), call) for field, call in OF_NUMBERS)
    await all_refused(both, iter(cases))


async def test_a_word_that_the_field_does_not_know(both: Both) -> None:
    cases = (
        (*of(field, "is '.*', and must be [a-z_]+, [a-z_]+"), call) for field, call in OF_WORDS
    )
    await all_refused(both, iter(cases))


async def test_a_parent_that_is_not_there(both: Both) -> None:
    await all_refused(both, iter(OF_PARENTS))


@pytest.mark.parametrize("who", ["a", "b"])
async def test_an_id_that_another_row_has(both: Both, who: str) -> None:
    cases = (
        (CommandRefused, f"id: there is another {row} already: give a new id, or none", call)
        for row, call in OF_IDS
    )
    await all_refused(both, iter(cases), who)


async def test_a_name_or_a_fact_that_another_row_has(both: Both) -> None:
    cases: list[tuple[type[Exception], str, Call]] = [
        (CommandRefused, "name: there is another category 'x' .*: find it",
         lambda v: v.memory.create_category("x")),
        (CommandRefused, "name: there is another entity 'x' .*: find it",
         lambda v: v.memory.create_entity("x")),
        (CommandRefused, "collection_tag: x is taken by another collection: give another name",
         lambda v: v.knowledge.create_collection("x")),
        (CommandRefused, "summary: agent a has another memory item that says so: reinforce",
         lambda v: v.memory.update_item("other", summary=" X ")),
    ]  # fmt: skip
    await all_refused(both, iter(cases))
    await refused(
        both,
        lambda v: v.sessions.open("key"),
        CommandRefused,
        "session_key: key is another agent's session: give another key",
        "b",
    )


@pytest.mark.parametrize(
    ("packed", "problem"),
    [
        (b"\0" * 8, "embedding: has 2 dimensions, and this storage keeps 3"),
        (b"\0" * 13, "embedding: has 3.25 dimensions"),
        (b"\xff" * 12, "embedding: has a NaN or an infinity"),
    ],
)
async def test_a_command_from_the_log_is_refused_alike(
    both: Both, packed: bytes, problem: str
) -> None:
    said = []
    for storage in both.storages:
        command = EmbedItem(agent_id="a", item_id="item", embedding=packed, at=now())
        with pytest.raises(CommandRefused, match=problem) as caught:
            await storage.apply([command])
        said.append((str(caught.value), caught.value.refused))
    assert said[0] == said[1]
