-- What agents share on purpose: collections of documents, by grant, and the library of the family.

CREATE TABLE knowledge_collections (
  id text COLLATE "C" PRIMARY KEY,
  collection_name text NOT NULL,
  collection_tag text COLLATE "C" NOT NULL UNIQUE,
  owner_agent_id text COLLATE "C",
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);

CREATE TABLE knowledge_collection_grants (
  id text COLLATE "C" PRIMARY KEY,
  collection_id text COLLATE "C" NOT NULL REFERENCES knowledge_collections (id) ON DELETE CASCADE,
  agent_id text COLLATE "C" NOT NULL,
  can_read boolean NOT NULL DEFAULT true,
  can_write boolean NOT NULL DEFAULT false,
  is_owner boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  UNIQUE (collection_id, agent_id)
);
CREATE INDEX knowledge_collection_grants_agent ON knowledge_collection_grants (agent_id);

-- Grants are seen by whom they are for, and by the owners of the collection. The functions look past
-- the policies, which ask them.
CREATE FUNCTION argentbus_readable() RETURNS text[]
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, public
AS $$
  SELECT coalesce(array_agg(id), '{}') FROM (
    SELECT collection_id AS id FROM public.knowledge_collection_grants
    WHERE agent_id = public.argentbus_agent() AND (can_read OR is_owner)
    UNION SELECT id FROM public.knowledge_collections
    WHERE owner_agent_id = public.argentbus_agent()) AS found
$$;
CREATE FUNCTION argentbus_owned() RETURNS text[]
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, public
AS $$
  SELECT coalesce(array_agg(id), '{}') FROM (
    SELECT collection_id AS id FROM public.knowledge_collection_grants
    WHERE agent_id = public.argentbus_agent() AND is_owner
    UNION SELECT id FROM public.knowledge_collections
    WHERE owner_agent_id = public.argentbus_agent()) AS found
$$;
REVOKE EXECUTE ON FUNCTION argentbus_readable(), argentbus_owned() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION argentbus_readable(), argentbus_owned() TO argentbus_app;
CREATE POLICY all_read_by_owner ON knowledge_collections FOR SELECT TO argentbus_schema
  USING (true);
CREATE POLICY all_read_by_owner ON knowledge_collection_grants FOR SELECT TO argentbus_schema
  USING (true);
SELECT argentbus_guard('knowledge_collections', 'id = ANY ((SELECT argentbus_readable())::text[])');
SELECT argentbus_guard('knowledge_collection_grants',
  'agent_id = (SELECT argentbus_agent())
   OR collection_id = ANY ((SELECT argentbus_owned())::text[])');

-- A piece of a document, and where it stands there. ArgentOS keeps these among the memory items; here
-- a text may stand in two collections, and goes with its collection.
CREATE TABLE knowledge_chunks (
  id text COLLATE "C" PRIMARY KEY,
  collection_id text COLLATE "C" NOT NULL REFERENCES knowledge_collections (id) ON DELETE CASCADE,
  agent_id text COLLATE "C" NOT NULL,
  source text COLLATE "C" NOT NULL,
  section text,
  start_offset bigint NOT NULL DEFAULT 0,
  content text NOT NULL,
  context text,
  content_hash text COLLATE "C" NOT NULL,
  embedding vector({dimensions}),
  metadata jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  words tsvector GENERATED ALWAYS AS (argentbus_words(
    content || coalesce(' ' || context, ''))) STORED,
  UNIQUE (collection_id, source, content_hash)
);
CREATE INDEX knowledge_chunks_words ON knowledge_chunks USING gin (words);
CREATE INDEX knowledge_chunks_embedding ON knowledge_chunks
  USING hnsw (embedding vector_cosine_ops) WITH (m = 16, ef_construction = 64);
SELECT argentbus_guard('knowledge_chunks',
  'collection_id = ANY ((SELECT argentbus_readable())::text[])');

CREATE TABLE shared_knowledge (
  id text COLLATE "C" PRIMARY KEY,
  source_agent_id text COLLATE "C" NOT NULL,
  source_item_id text COLLATE "C",
  category text NOT NULL CHECK (category IN ('lesson', 'fact', 'tool_tip', 'pattern')),
  title text NOT NULL,
  content text NOT NULL,
  embedding vector({dimensions}),
  confidence double precision NOT NULL DEFAULT 0.5 CHECK (confidence BETWEEN 0 AND 1),
  endorsements bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  words tsvector GENERATED ALWAYS AS (argentbus_words(title || ' ' || content)) STORED
);
CREATE INDEX shared_knowledge_words ON shared_knowledge USING gin (words);
CREATE INDEX shared_knowledge_embedding ON shared_knowledge
  USING hnsw (embedding vector_cosine_ops) WITH (m = 16, ef_construction = 64);
SELECT argentbus_guard('shared_knowledge', 'true');

-- Who endorsed what: once each.
CREATE TABLE knowledge_endorsements (
  knowledge_id text COLLATE "C" NOT NULL REFERENCES shared_knowledge (id) ON DELETE CASCADE,
  agent_id text COLLATE "C" NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (knowledge_id, agent_id)
);
SELECT argentbus_guard('knowledge_endorsements', 'own');
