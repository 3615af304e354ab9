-- Run by argentbus_schema, which owns everything here and nobody logs in as. `{dimensions}` is how
-- many numbers an embedding has. Ids compare byte by byte, as in SQLite.
--
-- Row-level security is forced on every table. Roles: argentbus_app reads what the agent in the
-- setting `app.agent_id` may see and writes nothing, argentbus_operator reads everything,
-- argentbus_sidecar writes the commands of all agents.

GRANT USAGE ON SCHEMA public TO argentbus_app, argentbus_operator, argentbus_sidecar;
GRANT SELECT ON schema_migrations TO argentbus_app, argentbus_operator, argentbus_sidecar;

-- The agent in whose scope a transaction reads; NULL outside of any.
CREATE FUNCTION argentbus_agent() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN NULLIF(current_setting('app.agent_id', true), '');

-- Words are compared by their stems, without case and accents; none is left out as too common, for
-- the full-text search of SQLite leaves none out either.
CREATE TEXT SEARCH DICTIONARY argentbus_stem (TEMPLATE = snowball, Language = english);
CREATE TEXT SEARCH CONFIGURATION argentbus (COPY = simple);
ALTER TEXT SEARCH CONFIGURATION argentbus
  ALTER MAPPING FOR asciiword, word, numword WITH argentbus_stem;

CREATE FUNCTION argentbus_fold(t text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN translate(regexp_replace(lower(normalize(t, NFKD)), '[\u0300-\u036f]+', '', 'g'), 'ς', 'σ');

-- A tsvector has room for a megabyte: the first 150,000 characters always fit.
CREATE FUNCTION argentbus_words(t text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN to_tsvector('public.argentbus'::regconfig,
  regexp_replace(argentbus_fold(left(t, 150000)), '[^[:alnum:]]+', ' ', 'g'));

CREATE TABLE memory_items (
  id text COLLATE "C" PRIMARY KEY,
  agent_id text COLLATE "C" NOT NULL,
  resource_id text COLLATE "C",
  memory_type text NOT NULL CHECK (memory_type IN
    ('profile', 'event', 'knowledge', 'behavior', 'skill', 'tool', 'self', 'episode')),
  summary text NOT NULL,
  embedding vector({dimensions}),
  happened_at timestamptz,
  content_hash text COLLATE "C" NOT NULL,
  reinforcement_count bigint NOT NULL DEFAULT 1,
  last_reinforced_at timestamptz,
  extra jsonb NOT NULL DEFAULT '{}',
  emotional_valence double precision NOT NULL DEFAULT 0
    CHECK (emotional_valence BETWEEN -2 AND 2),
  emotional_arousal double precision NOT NULL DEFAULT 0
    CHECK (emotional_arousal BETWEEN 0 AND 1),
  mood_at_capture text,
  significance text NOT NULL DEFAULT 'routine' CHECK (significance IN
    ('routine', 'noteworthy', 'important', 'core')),
  reflection text,
  lesson text,
  visibility text NOT NULL DEFAULT 'private' CHECK (visibility IN
    ('private', 'team', 'family', 'public')),
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  words tsvector GENERATED ALWAYS AS (argentbus_words(
    summary || coalesce(' ' || reflection, '') || coalesce(' ' || lesson, ''))) STORED,
  UNIQUE (agent_id, content_hash)
);
CREATE INDEX memory_items_agent_created ON memory_items (agent_id, created_at);
CREATE INDEX memory_items_shared ON memory_items (visibility, created_at)
  WHERE visibility <> 'private';
CREATE INDEX memory_items_words ON memory_items USING gin (words);
CREATE INDEX memory_items_extra ON memory_items USING gin (extra jsonb_path_ops);
CREATE INDEX memory_items_embedding ON memory_items USING hnsw (embedding vector_cosine_ops)
  WITH (m = 16, ef_construction = 64);

CREATE TABLE tasks (
  id text COLLATE "C" PRIMARY KEY,
  agent_id text COLLATE "C",
  title text NOT NULL,
  description text,
  status text NOT NULL DEFAULT 'pending' CHECK (status IN
    ('pending', 'in_progress', 'blocked', 'completed', 'failed', 'cancelled')),
  priority text NOT NULL DEFAULT 'normal' CHECK (priority IN
    ('urgent', 'high', 'normal', 'low', 'background')),
  source text NOT NULL DEFAULT 'user' CHECK (source IN
    ('user', 'agent', 'heartbeat', 'schedule', 'channel', 'job')),
  assignee text COLLATE "C",
  started_at timestamptz,
  completed_at timestamptz,
  due_at timestamptz,
  session_id text COLLATE "C",
  channel_id text COLLATE "C",
  -- No foreign key: partitions do not wait for each other, so a child may come before its parent.
  parent_task_id text COLLATE "C",
  depends_on jsonb NOT NULL DEFAULT '[]',
  team_id text COLLATE "C",
  tags jsonb NOT NULL DEFAULT '[]',
  metadata jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  words tsvector GENERATED ALWAYS AS (argentbus_words(
    title || coalesce(' ' || description, '') || ' ' || tags::text)) STORED
);
CREATE INDEX tasks_status ON tasks (status, priority);
CREATE INDEX tasks_agent ON tasks (agent_id);
CREATE INDEX tasks_assignee ON tasks (assignee);
CREATE INDEX tasks_parent ON tasks (parent_task_id);
CREATE INDEX tasks_words ON tasks USING gin (words);
CREATE INDEX tasks_waiting ON tasks USING gin (depends_on) WHERE status = 'blocked';

-- Up to where each partition of the write log has been applied, and by which lease's holder.
CREATE TABLE positions (
  partition bigint PRIMARY KEY,
  epoch text NOT NULL,
  entry_id text NOT NULL,
  fence bigint NOT NULL
);

ALTER TABLE memory_items ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE tasks ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE positions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

GRANT SELECT ON memory_items, tasks TO argentbus_app;
GRANT SELECT ON memory_items, tasks, positions TO argentbus_operator;
GRANT SELECT, INSERT, UPDATE, DELETE ON memory_items, tasks, positions TO argentbus_sidecar;

CREATE POLICY all_read ON memory_items FOR SELECT TO argentbus_operator USING (true);
CREATE POLICY all_read ON tasks FOR SELECT TO argentbus_operator USING (true);
CREATE POLICY all_read ON positions FOR SELECT TO argentbus_operator USING (true);
CREATE POLICY all_written ON memory_items TO argentbus_sidecar USING (true) WITH CHECK (true);
CREATE POLICY all_written ON tasks TO argentbus_sidecar USING (true) WITH CHECK (true);
CREATE POLICY all_written ON positions TO argentbus_sidecar USING (true) WITH CHECK (true);

-- In a subquery, the agent is looked up once, and not for every row.
CREATE POLICY visible ON memory_items FOR SELECT TO argentbus_app USING (
  agent_id = (SELECT argentbus_agent()) OR visibility IN ('family', 'public')
);
CREATE POLICY visible ON tasks FOR SELECT TO argentbus_app USING (
  agent_id = (SELECT argentbus_agent()) OR assignee = (SELECT argentbus_agent())
  OR agent_id IS NULL
);
