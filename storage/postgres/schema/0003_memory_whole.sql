-- What agents know beside their memory items: resources, categories, entities, reflections, lessons,
-- candidates, and how models did.

-- Row-level security and rights of one table, the same for all. `seen` is what the app role sees:
-- 'own' rows by agent_id, 'shared' ones by visibility too, '' none, or an expression.
CREATE FUNCTION argentbus_guard(name text, seen text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
  EXECUTE format('GRANT SELECT ON %I TO argentbus_operator', name);
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO argentbus_sidecar', name);
  EXECUTE format(
    'CREATE POLICY all_read ON %I FOR SELECT TO argentbus_operator USING (true)', name);
  EXECUTE format(
    'CREATE POLICY all_written ON %I TO argentbus_sidecar USING (true) WITH CHECK (true)', name);
  IF seen = '' THEN
    RETURN;
  END IF;
  EXECUTE format('GRANT SELECT ON %I TO argentbus_app', name);
  EXECUTE format('CREATE POLICY visible ON %I FOR SELECT TO argentbus_app USING (%s)', name,
    CASE seen
      WHEN 'own' THEN 'agent_id = (SELECT argentbus_agent())'
      WHEN 'shared' THEN
        'agent_id = (SELECT argentbus_agent()) OR visibility IN (''family'', ''public'')
         OR visibility = ''team'' AND agent_id IN (
           SELECT member.agent_id FROM team_members AS member
           JOIN teams ON teams.id = member.team_id WHERE teams.status <> ''disbanded'')'
      ELSE seen
    END);
END $$;
REVOKE EXECUTE ON FUNCTION argentbus_guard(text, text) FROM PUBLIC;

CREATE TABLE resources (
  id text COLLATE "C" PRIMARY KEY,
  agent_id text COLLATE "C" NOT NULL,
  url text NOT NULL DEFAULT '',
  modality text NOT NULL DEFAULT 'text' CHECK (modality IN
    ('text', 'image', 'audio', 'conversation', 'document')),
  local_path text,
  caption text,
  embedding vector({dimensions}),
  visibility text NOT NULL DEFAULT 'private' CHECK (visibility IN
    ('private', 'team', 'family', 'public')),
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);
CREATE INDEX resources_agent_created ON resources (agent_id, created_at);
SELECT argentbus_guard('resources', 'shared');

-- Items that name a resource which nobody stored were possible until now.
ALTER TABLE memory_items NO FORCE ROW LEVEL SECURITY;
UPDATE memory_items SET resource_id = NULL WHERE resource_id IS NOT NULL;
ALTER TABLE memory_items FORCE ROW LEVEL SECURITY;
ALTER TABLE memory_items ADD FOREIGN KEY (resource_id) REFERENCES resources (id)
  ON DELETE SET NULL;
CREATE INDEX memory_items_resource ON memory_items (resource_id) WHERE resource_id IS NOT NULL;

CREATE TABLE categories (
  id text COLLATE "C" PRIMARY KEY,
  agent_id text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  description text,
  embedding vector({dimensions}),
  summary text,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  words tsvector GENERATED ALWAYS AS (argentbus_words(
    name || coalesce(' ' || description, '') || coalesce(' ' || summary, ''))) STORED,
  UNIQUE (agent_id, name)
);
CREATE INDEX categories_words ON categories USING gin (words);
CREATE INDEX categories_embedding ON categories USING hnsw (embedding vector_cosine_ops)
  WITH (m = 16, ef_construction = 64);
SELECT argentbus_guard('categories', 'own');

CREATE TABLE item_categories (
  item_id text COLLATE "C" NOT NULL REFERENCES memory_items (id) ON DELETE CASCADE,
  category_id text COLLATE "C" NOT NULL REFERENCES categories (id) ON DELETE CASCADE,
  PRIMARY KEY (item_id, category_id)
);
CREATE INDEX item_categories_category ON item_categories (category_id);
-- Subqueries in a policy see what their own tables' policies let them see.
SELECT argentbus_guard('item_categories', 'EXISTS (
  SELECT 1 FROM categories WHERE categories.id = category_id)');

CREATE TABLE entities (
  id text COLLATE "C" PRIMARY KEY,
  agent_id text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  entity_type text NOT NULL DEFAULT 'person' CHECK (entity_type IN
    ('person', 'pet', 'place', 'organization', 'project')),
  relationship text,
  bond_strength double precision NOT NULL DEFAULT 0.5 CHECK (bond_strength BETWEEN 0 AND 1),
  emotional_texture text,
  profile_summary text,
  first_mentioned_at timestamptz,
  last_mentioned_at timestamptz,
  memory_count bigint NOT NULL DEFAULT 0,
  embedding vector({dimensions}),
  visibility text NOT NULL DEFAULT 'private' CHECK (visibility IN
    ('private', 'team', 'family', 'public')),
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  UNIQUE (agent_id, name)
);
CREATE INDEX entities_embedding ON entities USING hnsw (embedding vector_cosine_ops)
  WITH (m = 16, ef_construction = 64);
SELECT argentbus_guard('entities', 'shared');

CREATE TABLE item_entities (
  item_id text COLLATE "C" NOT NULL REFERENCES memory_items (id) ON DELETE CASCADE,
  entity_id text COLLATE "C" NOT NULL REFERENCES entities (id) ON DELETE CASCADE,
  role text NOT NULL DEFAULT 'mentioned',
  PRIMARY KEY (item_id, entity_id)
);
CREATE INDEX item_entities_entity ON item_entities (entity_id);
SELECT argentbus_guard('item_entities', 'EXISTS (
  SELECT 1 FROM memory_items WHERE memory_items.id = item_id)
  AND EXISTS (SELECT 1 FROM entities WHERE entities.id = entity_id)');

CREATE TABLE reflections (
  id text COLLATE "C" PRIMARY KEY,
  agent_id text COLLATE "C" NOT NULL,
  trigger_type text NOT NULL CHECK (trigger_type IN
    ('heartbeat', 'evening_cron', 'significant_event', 'manual', 'contemplation')),
  period_start timestamptz,
  period_end timestamptz,
  content text NOT NULL,
  lessons_extracted jsonb NOT NULL DEFAULT '[]',
  entities_involved jsonb NOT NULL DEFAULT '[]',
  self_insights jsonb NOT NULL DEFAULT '[]',
  mood text,
  created_at timestamptz NOT NULL
);
CREATE INDEX reflections_agent_created ON reflections (agent_id, created_at);
SELECT argentbus_guard('reflections', 'own');

CREATE TABLE lessons (
  id text COLLATE "C" PRIMARY KEY,
  agent_id text COLLATE "C" NOT NULL,
  type text NOT NULL CHECK (type IN ('mistake', 'success', 'workaround', 'discovery',
    'error_correction', 'best_practice', 'anti_pattern')),
  context text NOT NULL,
  action text NOT NULL,
  outcome text NOT NULL,
  lesson text NOT NULL,
  correction text,
  confidence double precision NOT NULL DEFAULT 0.5 CHECK (confidence BETWEEN 0 AND 1),
  occurrences bigint NOT NULL DEFAULT 1,
  last_seen timestamptz NOT NULL,
  tags jsonb NOT NULL DEFAULT '[]',
  related_tools jsonb NOT NULL DEFAULT '[]',
  source_episode_ids jsonb NOT NULL DEFAULT '[]',
  embedding vector({dimensions}),
  visibility text NOT NULL DEFAULT 'private' CHECK (visibility IN
    ('private', 'team', 'family', 'public')),
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  words tsvector GENERATED ALWAYS AS (argentbus_words(context || ' ' || action || ' ' || outcome
    || ' ' || lesson || coalesce(' ' || correction, ''))) STORED
);
CREATE INDEX lessons_agent_seen ON lessons (agent_id, last_seen);
CREATE INDEX lessons_shared ON lessons (visibility, last_seen) WHERE visibility <> 'private';
CREATE INDEX lessons_tools ON lessons USING gin (related_tools);
CREATE INDEX lessons_words ON lessons USING gin (words);
CREATE INDEX lessons_embedding ON lessons USING hnsw (embedding vector_cosine_ops)
  WITH (m = 16, ef_construction = 64);
SELECT argentbus_guard('lessons', 'shared');

-- ArgentOS keeps these in a file for each agent; here the agent is a column.
CREATE TABLE live_candidates (
  id text COLLATE "C" PRIMARY KEY,
  agent_id text COLLATE "C" NOT NULL,
  session_key text COLLATE "C",
  message_id text,
  role text NOT NULL,
  candidate_type text NOT NULL,
  fact_text text NOT NULL,
  fact_hash text COLLATE "C" NOT NULL,
  confidence double precision NOT NULL DEFAULT 0 CHECK (confidence BETWEEN 0 AND 1),
  trigger_flags jsonb NOT NULL DEFAULT '[]',
  entities jsonb NOT NULL DEFAULT '[]',
  memory_type_hint text,
  significance_hint text,
  source_ts timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  status text NOT NULL DEFAULT 'pending' CHECK (status IN
    ('pending', 'promoted', 'merged', 'discarded', 'expired')),
  promoted_item_id text COLLATE "C",
  promotion_reason text,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);
CREATE INDEX live_candidates_agent_hash ON live_candidates (agent_id, fact_hash);
-- A fact is pending once; said again, it makes the first one surer.
CREATE UNIQUE INDEX live_candidates_once ON live_candidates (agent_id, fact_hash)
  WHERE status = 'pending';
CREATE INDEX live_candidates_pending ON live_candidates (expires_at) WHERE status = 'pending';
SELECT argentbus_guard('live_candidates', 'own');

CREATE TABLE model_feedback (
  id text COLLATE "C" PRIMARY KEY,
  agent_id text COLLATE "C" NOT NULL,
  provider text NOT NULL,
  model text NOT NULL,
  tier text NOT NULL,
  session_type text NOT NULL,
  complexity_score double precision NOT NULL DEFAULT 0,
  duration_ms bigint NOT NULL DEFAULT 0,
  success boolean NOT NULL DEFAULT true,
  error_type text,
  input_tokens bigint NOT NULL DEFAULT 0,
  output_tokens bigint NOT NULL DEFAULT 0,
  total_tokens bigint NOT NULL DEFAULT 0,
  tool_call_count bigint NOT NULL DEFAULT 0,
  user_feedback text CHECK (user_feedback IN ('up', 'down')),
  session_key text COLLATE "C",
  profile text,
  self_eval_score double precision,
  self_eval_reasoning text,
  created_at timestamptz NOT NULL
);
CREATE INDEX model_feedback_agent_created ON model_feedback (agent_id, created_at);
SELECT argentbus_guard('model_feedback', 'own');
