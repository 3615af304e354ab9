"""The dimension of vectors: stored, compared with the setting, changed in one go or not at all."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from storage import (
    CommandRefused,
    InvalidValue,
    SchemaMismatch,
    migrations,
)
from storage.adapter import DatabaseAdapter
from storage.dimensions import TABLES
from storage.model.items import EmbedItem
from storage.model.values import now, pack_vector
from storage.postgres import migrations as of_postgres
from storage.postgres.setup import setup
from storage.sqlite import database as of_sqlite
from storage.sqlite import dimensions as sqlite
from storage.sqlite.adapter import SQLiteAdapter
from tests.postgres import PostgresServer, execute
from tests.storage.backends import RawPostgres, RawSQLite, opened
from tests.storage.places import Place, fill, indexes_of, without_vectors
from tests.storage.test_apply import at, create

pytestmark = pytest.mark.anyio

NEAR = [1.0, 0.0, 0.0, 0.0]


async def test_another_setting_than_the_databases_is_refused_with_both_and_a_remedy(
    place: Place,
) -> None:
    async with place.open(3):
        pass
    problem = (
        rf"{place.shown} keeps vectors of 3 dimensions, and this process is set up for 4: set "
        r".*ARGENTBUS_DIMENSIONS.* to 3, or change .* with `argentbus migrate dimension 4`"
    )
    with pytest.raises(SchemaMismatch, match=problem):
        async with place.open(4):
            pass


async def test_a_change_drops_the_vectors_and_nothing_else(place: Place) -> None:
    async with place.open(3) as (storage, raw):
        before = await fill(storage, raw)
        await storage.apply([create(1)], position=at(1))
        before = await raw.everything()
        indexes = await indexes_of(raw)
        words = await storage.operator().memory.search("apple", limit=100)
    planned = await place.look(4)
    assert (planned.stored, planned.wanted, planned.made) == (3, 4, False)
    for one in planned.tables:
        vectors = sum(row.embedding is not None for row in before[one.table])
        assert (one.rows, one.vectors) == (len(before[one.table]), vectors)
        assert one.size == vectors * 12
    assert planned.vectors >= len(TABLES)
    async with place.open(3) as (_, raw):
        assert await raw.everything() == before, "it was only looked at"
    made = await place.change(4)
    assert made == msgspec.structs.replace(
        planned, made=True, index_size=made.index_size, indexes=made.indexes
    )
    assert sorted(made.indexes) == sorted(planned.indexes)
    async with place.open(4) as (storage, raw):
        assert await raw.everything() == without_vectors(before)
        assert await storage.positions() == {0: at(1)}
        assert await indexes_of(raw) == indexes
        again = await storage.operator().memory.search("apple", limit=100)
        assert {hit.item.id for hit in again} == {hit.item.id for hit in words}
        await finds_by_vector(storage)
    assert not (await place.change(4)).made
    assert not (await place.look(4)).needed


async def finds_by_vector(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("finder").memory
    for n in range(4):
        item = await memory.create_item(
            summary=f"n {n}", memory_type="event", embedding=[float(n == m) for m in range(4)]
        )
    hits = await memory.search("", embedding=[0.0, 0.1, 0.0, 1.0], limit=1)
    assert [hit.item.id for hit in hits] == [item.id]


async def test_who_had_it_open_is_refused_and_nothing_of_it_is_written(place: Place) -> None:
    async with place.open(3) as (old, raw), place.open(3) as (other, _):
        item = await old.scoped("a").memory.create_item(
            summary="x", memory_type="event", embedding=[1, 0, 0]
        )
        assert await old.scoped("a").memory.get_item(item.id) is not None
        await place.change(4)
        before = await raw.everything()
        refused = f"{place.shown} keeps vectors of 4 dimensions, and .* set up for 3"
        memory = old.scoped("a").memory
        with pytest.raises(SchemaMismatch, match=refused):
            await memory.create_item(summary="y", memory_type="event", embedding=[1, 0, 0])
        batch = [
            create(1),
            EmbedItem(agent_id="a", item_id=item.id, embedding=b"\0" * 12, at=now()),
        ]
        with pytest.raises(SchemaMismatch, match=refused):
            await old.apply(batch, position=at(1))
        # A vector that the database would take is not what is wrong, either.
        right = EmbedItem(
            agent_id="a", item_id=item.id, embedding=pack_vector("x", NEAR, 4), at=now()
        )
        with pytest.raises(SchemaMismatch, match=refused):
            await old.apply([right], position=at(1))
        with pytest.raises(SchemaMismatch, match=refused):
            await old.write(right)
        assert await raw.everything() == before
        async with place.open(4) as (new, _):
            await new.scoped("a").memory.embed_item(item.id, NEAR)
            with pytest.raises(SchemaMismatch, match=refused):
                await memory.search("", embedding=[1, 0, 0])
            with pytest.raises(SchemaMismatch, match=refused):
                await old.read("a", "recall", "search", query="", embedding=NEAR)
            # What has nothing to do with vectors is still to be read.
            found = await other.scoped("a").memory.get_item(item.id)
            assert found is not None
            assert found.vector == NEAR


@pytest.mark.parametrize("wrong", [[1.0, 0.0], [float("nan"), 0, 0], "abc"])
async def test_what_is_wrong_with_a_value_stays_the_values_fault(
    storage: DatabaseAdapter, wrong: Any
) -> None:
    with pytest.raises(InvalidValue, match="^embedding"):
        await storage.read("a", "recall", "search", query="", embedding=wrong)
    with pytest.raises(InvalidValue, match="^embedding"):
        await storage.write(EmbedItem(agent_id="a", item_id="x", embedding=b"\0" * 8, at=now()))
    with pytest.raises(CommandRefused, match="embedding: has 2 dimensions"):
        await storage.apply([EmbedItem(agent_id="a", item_id="x", embedding=b"\0" * 8, at=now())])


# where it comes from


async def test_a_sqlite_file_of_before_has_the_dimension_of_its_vectors(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = migrations.known
    with monkeypatch.context() as patched:
        patched.setattr(migrations, "known", lambda package: known(package)[:8])
        await of_sqlite.bring_up(path, 768)
    for n, vector in enumerate(("NULL", "x'0000803f0000000000000000'")):
        await RawSQLite(path).query(
            "INSERT INTO lessons (id, agent_id, type, context, action, outcome, lesson, last_seen,"
            f" embedding, created_at, updated_at) VALUES ('{n}', 'a', 'success', 'c', 'a', 'o',"
            f" 'l', '{now().isoformat()}', {vector}, '{now().isoformat()}', '{now().isoformat()}')"
        )
    with pytest.raises(SchemaMismatch, match="lacks .* migrations .*0009_dimensions.*migrate"):
        await sqlite.look(path, 4)
    with pytest.raises(SchemaMismatch, match="keeps vectors of 3 dimensions"):
        async with SQLiteAdapter.open(path, dimensions=768):
            pass
    async with SQLiteAdapter.open(path, dimensions=3) as storage:
        assert (await storage.scoped("a").memory.get_lesson("1")) is not None


async def test_a_postgresql_of_before_keeps_its_dimension_when_tables_are_added(
    postgres_server: PostgresServer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, admin = "of_before", postgres_server.url()
    await setup(admin, postgres_server.user_url(name))
    try:
        known = migrations.known
        with monkeypatch.context() as patched:
            patched.setattr(migrations, "known", lambda package: known(package)[:2])
            await of_postgres.run(postgres_server.url(name), dimensions=3)
        await of_postgres.run(postgres_server.url(name), dimensions=768)
        async with opened("postgres", path, postgres_server, name, 3) as (storage, _):
            await storage.scoped("a").memory.create_category("x", embedding=[1, 0, 0])
        async with RawPostgres.open(postgres_server.url(name)) as raw:
            await raw.query("ALTER TABLE lessons ALTER COLUMN embedding TYPE vector(5)")
        with pytest.raises(SchemaMismatch, match="columns of vectors of 3 and 5 dimensions"):
            async with opened("postgres", path, postgres_server, name, 3):
                pass
    finally:
        await execute(admin, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("value", ["", "many", "-3", "3.0", "9" * 50, "٣"])
async def test_a_sqlite_file_that_says_no_dimension_is_refused(path: Path, value: str) -> None:
    async with SQLiteAdapter.open(path, dimensions=3):
        pass
    await RawSQLite(path).query("UPDATE settings SET value = $1", value)
    with pytest.raises(SchemaMismatch, match="does not say which dimension its vectors have"):
        async with SQLiteAdapter.open(path, dimensions=3):
            pass
    await RawSQLite(path).query("DELETE FROM settings")
    with pytest.raises(SchemaMismatch, match="does not say which dimension"):
        await sqlite.change(path, 4)
