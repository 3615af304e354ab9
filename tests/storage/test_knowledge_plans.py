"""Documents under row-level security: of many collections, an agent's are found by an index."""

from collections.abc import Iterator

import anyio
import asyncpg
import pytest

from storage import queries
from tests.postgres import PostgresServer, execute

pytestmark = pytest.mark.anyio

FILL = """
INSERT INTO knowledge_collections
  SELECT 'c-' || n, 'x', 't-' || n, 'a-' || n, now(), now() FROM generate_series(1, 100) AS n;
INSERT INTO knowledge_chunks (
  id, collection_id, agent_id, source, content, content_hash, created_at, updated_at
) SELECT n::text, 'c-' || (1 + n % 100), 'a', 's-' || (n % 1000), 'word', n::text, now(), now()
  FROM generate_series(1, 10000) AS n;
ANALYZE
"""

DOCUMENTS = queries.load("storage.knowledge", "documents.sql")
SEARCH = queries.load("storage.postgres", "search.sql", this="knowledge_chunks", visible="readable")


@pytest.fixture(scope="module")
def filled(postgres_server: PostgresServer) -> Iterator[str]:
    """A database with 100 collections of 100 chunks each."""
    with postgres_server.database(3) as name:
        anyio.run(execute, postgres_server.url(name), FILL.replace(";\n", "; "))
        yield name


@pytest.mark.parametrize(
    "sql",
    [
        DOCUMENTS["stored_chunks"].replace("$2", "'c-1'").replace("$3", "'s-0'"),
        DOCUMENTS["list_documents"]
        .replace("$2", "'c-1'").replace("$3", "50").replace("$4", "0"),
        SEARCH["nearest_of_few"]
        .replace("{where}", "").replace("$2", "'[1,0,0]'").replace("$3", "10"),
        SEARCH["keyword"].replace("{where}", "").replace("$2", "'word'").replace("$3", "10")
        % "knowledge_chunks.id",
    ],
    ids=["stored", "list", "nearest", "keyword"],
)  # fmt: skip
async def test_an_agents_collections_are_looked_up_once_and_found_by_the_index(
    postgres_server: PostgresServer, filled: str, sql: str
) -> None:
    connection = await asyncpg.connect(postgres_server.user_url(filled))
    async with connection.transaction():
        await connection.execute("SET LOCAL ROLE argentbus_app")
        await connection.execute("SELECT set_config('app.agent_id', 'a-1', true)")
        asked = f"EXPLAIN {sql}".replace("$1", "'a-1'")
        plan = "\n".join(row[0] for row in await connection.fetch(asked))
    await connection.close()
    assert "knowledge_chunks_collection_id_source_content_hash_key" in plan, plan
    assert "Seq Scan on knowledge_chunks" not in plan, plan
    assert "collection_id = ANY ((InitPlan" in plan, "the policy's function is called once"
