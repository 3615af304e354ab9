-- What agents know beside their memory items: resources, categories, entities, reflections, lessons,
-- candidates, and how models did.

CREATE TABLE resources (
  id TEXT PRIMARY KEY NOT NULL,
  agent_id TEXT NOT NULL,
  url TEXT NOT NULL DEFAULT '',
  modality TEXT NOT NULL DEFAULT 'text' CHECK (modality IN
    ('text', 'image', 'audio', 'conversation', 'document')),
  local_path TEXT,
  caption TEXT,
  embedding BLOB,
  visibility TEXT NOT NULL DEFAULT 'private' CHECK (visibility IN
    ('private', 'team', 'family', 'public')),
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
);
CREATE INDEX resources_agent_created ON resources (agent_id, created_at);

-- Items that name a resource which nobody stored were possible until now. SQLite adds no foreign key
-- to a table, so the table is made anew.
CREATE TABLE memory_items_new (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  agent_id TEXT NOT NULL,
  resource_id TEXT REFERENCES resources (id) ON DELETE SET NULL,
  memory_type TEXT NOT NULL CHECK (memory_type IN
    ('profile', 'event', 'knowledge', 'behavior', 'skill', 'tool', 'self', 'episode')),
  summary TEXT NOT NULL,
  embedding BLOB,
  happened_at TEXT,
  content_hash TEXT NOT NULL,
  reinforcement_count INTEGER NOT NULL DEFAULT 1,
  last_reinforced_at TEXT,
  extra TEXT NOT NULL DEFAULT '{}',
  emotional_valence REAL NOT NULL DEFAULT 0 CHECK (emotional_valence BETWEEN -2 AND 2),
  emotional_arousal REAL NOT NULL DEFAULT 0 CHECK (emotional_arousal BETWEEN 0 AND 1),
  mood_at_capture TEXT,
  significance TEXT NOT NULL DEFAULT 'routine' CHECK (significance IN
    ('routine', 'noteworthy', 'important', 'core')),
  reflection TEXT,
  lesson TEXT,
  visibility TEXT NOT NULL DEFAULT 'private' CHECK (visibility IN
    ('private', 'team', 'family', 'public')),
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  UNIQUE (agent_id, content_hash)
);
INSERT INTO memory_items_new (
  seq, id, agent_id, resource_id, memory_type, summary, embedding, happened_at, content_hash,
  reinforcement_count, last_reinforced_at, extra, emotional_valence, emotional_arousal,
  mood_at_capture, significance, reflection, lesson, visibility, created_at, updated_at
) SELECT
  seq, id, agent_id, NULL, memory_type, summary, embedding, happened_at, content_hash,
  reinforcement_count, last_reinforced_at, extra, emotional_valence, emotional_arousal,
  mood_at_capture, significance, reflection, lesson, visibility, created_at, updated_at
FROM memory_items;
DROP TABLE memory_items;
ALTER TABLE memory_items_new RENAME TO memory_items;
CREATE INDEX memory_items_agent_created ON memory_items (agent_id, created_at);
CREATE INDEX memory_items_resource ON memory_items (resource_id) WHERE resource_id IS NOT NULL;
CREATE TRIGGER memory_items_inserted AFTER INSERT ON memory_items BEGIN
  INSERT INTO memory_items_fts (rowid, summary, reflection, lesson)
  VALUES (new.seq, new.summary, new.reflection, new.lesson);
END;
CREATE TRIGGER memory_items_deleted AFTER DELETE ON memory_items BEGIN
  INSERT INTO memory_items_fts (memory_items_fts, rowid, summary, reflection, lesson)
  VALUES ('delete', old.seq, old.summary, old.reflection, old.lesson);
END;
CREATE TRIGGER memory_items_updated AFTER UPDATE OF summary, reflection, lesson ON memory_items
BEGIN
  INSERT INTO memory_items_fts (memory_items_fts, rowid, summary, reflection, lesson)
  VALUES ('delete', old.seq, old.summary, old.reflection, old.lesson);
  INSERT INTO memory_items_fts (rowid, summary, reflection, lesson)
  VALUES (new.seq, new.summary, new.reflection, new.lesson);
END;

CREATE TABLE categories (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  agent_id TEXT NOT NULL,
  name TEXT NOT NULL,
  description TEXT,
  embedding BLOB,
  summary TEXT,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  UNIQUE (agent_id, name)
);

CREATE VIRTUAL TABLE categories_fts USING fts5(
  name, description, summary,
  content = 'categories', content_rowid = 'seq', tokenize = 'porter unicode61'
);
CREATE TRIGGER categories_inserted AFTER INSERT ON categories BEGIN
  INSERT INTO categories_fts (rowid, name, description, summary)
  VALUES (new.seq, new.name, new.description, new.summary);
END;
CREATE TRIGGER categories_deleted AFTER DELETE ON categories BEGIN
  INSERT INTO categories_fts (categories_fts, rowid, name, description, summary)
  VALUES ('delete', old.seq, old.name, old.description, old.summary);
END;
CREATE TRIGGER categories_updated AFTER UPDATE OF name, description, summary ON categories
BEGIN
  INSERT INTO categories_fts (categories_fts, rowid, name, description, summary)
  VALUES ('delete', old.seq, old.name, old.description, old.summary);
  INSERT INTO categories_fts (rowid, name, description, summary)
  VALUES (new.seq, new.name, new.description, new.summary);
END;

CREATE TABLE item_categories (
  item_id TEXT NOT NULL REFERENCES memory_items (id) ON DELETE CASCADE,
  category_id TEXT NOT NULL REFERENCES categories (id) ON DELETE CASCADE,
  PRIMARY KEY (item_id, category_id)
);
CREATE INDEX item_categories_category ON item_categories (category_id);

CREATE TABLE entities (
  id TEXT PRIMARY KEY NOT NULL,
  agent_id TEXT NOT NULL,
  name TEXT NOT NULL,
  entity_type TEXT NOT NULL DEFAULT 'person' CHECK (entity_type IN
    ('person', 'pet', 'place', 'organization', 'project')),
  relationship TEXT,
  bond_strength REAL NOT NULL DEFAULT 0.5 CHECK (bond_strength BETWEEN 0 AND 1),
  emotional_texture TEXT,
  profile_summary TEXT,
  first_mentioned_at TEXT,
  last_mentioned_at TEXT,
  memory_count INTEGER NOT NULL DEFAULT 0,
  embedding BLOB,
  visibility TEXT NOT NULL DEFAULT 'private' CHECK (visibility IN
    ('private', 'team', 'family', 'public')),
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  UNIQUE (agent_id, name)
);

CREATE TABLE item_entities (
  item_id TEXT NOT NULL REFERENCES memory_items (id) ON DELETE CASCADE,
  entity_id TEXT NOT NULL REFERENCES entities (id) ON DELETE CASCADE,
  role TEXT NOT NULL DEFAULT 'mentioned',
  PRIMARY KEY (item_id, entity_id)
);
CREATE INDEX item_entities_entity ON item_entities (entity_id);

CREATE TABLE reflections (
  id TEXT PRIMARY KEY NOT NULL,
  agent_id TEXT NOT NULL,
  trigger_type TEXT NOT NULL CHECK (trigger_type IN
    ('heartbeat', 'evening_cron', 'significant_event', 'manual', 'contemplation')),
  period_start TEXT,
  period_end TEXT,
  content TEXT NOT NULL,
  lessons_extracted TEXT NOT NULL DEFAULT '[]',
  entities_involved TEXT NOT NULL DEFAULT '[]',
  self_insights TEXT NOT NULL DEFAULT '[]',
  mood TEXT,
  created_at TEXT NOT NULL
);
CREATE INDEX reflections_agent_created ON reflections (agent_id, created_at);

CREATE TABLE lessons (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  agent_id TEXT NOT NULL,
  type TEXT NOT NULL CHECK (type IN ('mistake', 'success', 'workaround', 'discovery',
    'error_correction', 'best_practice', 'anti_pattern')),
  context TEXT NOT NULL,
  action TEXT NOT NULL,
  outcome TEXT NOT NULL,
  lesson TEXT NOT NULL,
  correction TEXT,
  confidence REAL NOT NULL DEFAULT 0.5 CHECK (confidence BETWEEN 0 AND 1),
  occurrences INTEGER NOT NULL DEFAULT 1,
  last_seen TEXT NOT NULL,
  tags TEXT NOT NULL DEFAULT '[]',
  related_tools TEXT NOT NULL DEFAULT '[]',
  source_episode_ids TEXT NOT NULL DEFAULT '[]',
  embedding BLOB,
  visibility TEXT NOT NULL DEFAULT 'private' CHECK (visibility IN
    ('private', 'team', 'family', 'public')),
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
);
CREATE INDEX lessons_agent_seen ON lessons (agent_id, last_seen);
CREATE INDEX lessons_shared ON lessons (visibility, last_seen) WHERE visibility <> 'private';

CREATE VIRTUAL TABLE lessons_fts USING fts5(
  context, action, outcome, lesson, correction,
  content = 'lessons', content_rowid = 'seq', tokenize = 'porter unicode61'
);
CREATE TRIGGER lessons_inserted AFTER INSERT ON lessons BEGIN
  INSERT INTO lessons_fts (rowid, context, action, outcome, lesson, correction)
  VALUES (new.seq, new.context, new.action, new.outcome, new.lesson, new.correction);
END;
CREATE TRIGGER lessons_deleted AFTER DELETE ON lessons BEGIN
  INSERT INTO lessons_fts (lessons_fts, rowid, context, action, outcome, lesson, correction)
  VALUES ('delete', old.seq, old.context, old.action, old.outcome, old.lesson, old.correction);
END;
CREATE TRIGGER lessons_updated AFTER UPDATE OF context, action, outcome, lesson, correction ON lessons
BEGIN
  INSERT INTO lessons_fts (lessons_fts, rowid, context, action, outcome, lesson, correction)
  VALUES ('delete', old.seq, old.context, old.action, old.outcome, old.lesson, old.correction);
  INSERT INTO lessons_fts (rowid, context, action, outcome, lesson, correction)
  VALUES (new.seq, new.context, new.action, new.outcome, new.lesson, new.correction);
END;

-- ArgentOS keeps these in a file for each agent; here the agent is a column.
CREATE TABLE live_candidates (
  id TEXT PRIMARY KEY NOT NULL,
  agent_id TEXT NOT NULL,
  session_key TEXT,
  message_id TEXT,
  role TEXT NOT NULL,
  candidate_type TEXT NOT NULL,
  fact_text TEXT NOT NULL,
  fact_hash TEXT NOT NULL,
  confidence REAL NOT NULL DEFAULT 0 CHECK (confidence BETWEEN 0 AND 1),
  trigger_flags TEXT NOT NULL DEFAULT '[]',
  entities TEXT NOT NULL DEFAULT '[]',
  memory_type_hint TEXT,
  significance_hint TEXT,
  source_ts TEXT NOT NULL,
  expires_at TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN
    ('pending', 'promoted', 'merged', 'discarded', 'expired')),
  promoted_item_id TEXT,
  promotion_reason TEXT,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
);
CREATE INDEX live_candidates_agent_hash ON live_candidates (agent_id, fact_hash);
-- A fact is pending once; said again, it makes the first one surer.
CREATE UNIQUE INDEX live_candidates_once ON live_candidates (agent_id, fact_hash)
  WHERE status = 'pending';
CREATE INDEX live_candidates_pending ON live_candidates (expires_at) WHERE status = 'pending';

CREATE TABLE model_feedback (
  id TEXT PRIMARY KEY NOT NULL,
  agent_id TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  tier TEXT NOT NULL,
  session_type TEXT NOT NULL,
  complexity_score REAL NOT NULL DEFAULT 0,
  duration_ms INTEGER NOT NULL DEFAULT 0,
  success INTEGER NOT NULL DEFAULT 1,
  error_type TEXT,
  input_tokens INTEGER NOT NULL DEFAULT 0,
  output_tokens INTEGER NOT NULL DEFAULT 0,
  total_tokens INTEGER NOT NULL DEFAULT 0,
  tool_call_count INTEGER NOT NULL DEFAULT 0,
  user_feedback TEXT CHECK (user_feedback IN ('up', 'down')),
  session_key TEXT,
  profile TEXT,
  self_eval_score REAL,
  self_eval_reasoning TEXT,
  created_at TEXT NOT NULL
);
CREATE INDEX model_feedback_agent_created ON model_feedback (agent_id, created_at);
