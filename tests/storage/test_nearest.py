"""Vector search in PostgreSQL: exact where an agent sees few, by the index where it sees many."""

from collections.abc import Iterator

import numpy as np
import pytest

from storage.model.items import CreateItem, MemoryItem
from storage.postgres import nearest
from storage.postgres.adapter import PgAdapter
from tests.postgres import PostgresServer
from tests.storage.test_apply import START

pytestmark = pytest.mark.anyio

COUNT = 4000


@pytest.fixture
def name(postgres_server: PostgresServer) -> Iterator[str]:
    """A database of three dimensions."""
    with postgres_server.database(3) as name:
        yield name


def items(vectors: np.ndarray) -> list[CreateItem]:
    """One of a hundred is of the agent `small`, the rest of `large`."""
    return [
        CreateItem(
            item=MemoryItem(
                id=f"{n:05}",
                agent_id="small" if n % 100 == 0 else "large",
                memory_type="event",
                summary=f"fact {n}",
                embedding=vector.astype("<f4").tobytes(),
                created_at=START,
                updated_at=START,
            )
        )
        for n, vector in enumerate(vectors)
    ]


async def test_by_the_index_nearly_all_that_are_nearest_are_found(
    postgres_server: PostgresServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(7)
    vectors = random.normal(size=(COUNT, 3))
    async with PgAdapter.open(postgres_server.user_url(name), dimensions=3) as storage:
        written = items(vectors)
        for start in range(0, COUNT, 1000):
            await storage.apply(written[start : start + 1000])
        found = total = 0
        for agent in ("large", "small"):
            reads = storage.scoped(agent).memory
            for query in random.normal(size=(20, 3)).tolist():
                monkeypatch.setattr(nearest, "FEW", COUNT)
                exact = [hit.item.id for hit in await reads.search("", embedding=query)]
                monkeypatch.setattr(nearest, "FEW", 0)
                monkeypatch.setattr(nearest, "few", lambda _limit, _size: 0.0)
                near = [hit.item.id for hit in await reads.search("", embedding=query)]
                assert len(exact) == len(near) == 10, "also for whoever has few among many"
                found += len(set(exact) & set(near))
                total += 10
        assert found / total >= 0.95
