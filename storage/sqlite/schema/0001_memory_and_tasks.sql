-- Times are ISO 8601 text in UTC with microseconds and Z, so that text order is time order.
-- `seq` is what the full-text tables point at: an implicit rowid may change with VACUUM.

CREATE TABLE memory_items (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  agent_id TEXT NOT NULL,
  resource_id TEXT,
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
CREATE INDEX memory_items_agent_created ON memory_items (agent_id, created_at);

CREATE VIRTUAL TABLE memory_items_fts USING fts5(
  summary, reflection, lesson,
  content = 'memory_items', content_rowid = 'seq', tokenize = 'porter unicode61'
);
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

CREATE TABLE tasks (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  agent_id TEXT,
  title TEXT NOT NULL,
  description TEXT,
  status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN
    ('pending', 'in_progress', 'blocked', 'completed', 'failed', 'cancelled')),
  priority TEXT NOT NULL DEFAULT 'normal' CHECK (priority IN
    ('urgent', 'high', 'normal', 'low', 'background')),
  source TEXT NOT NULL DEFAULT 'user' CHECK (source IN
    ('user', 'agent', 'heartbeat', 'schedule', 'channel', 'job')),
  assignee TEXT,
  started_at TEXT,
  completed_at TEXT,
  due_at TEXT,
  session_id TEXT,
  channel_id TEXT,
  -- No foreign key: partitions do not wait for each other, so a child may come before its parent.
  parent_task_id TEXT,
  depends_on TEXT NOT NULL DEFAULT '[]',
  team_id TEXT,
  tags TEXT NOT NULL DEFAULT '[]',
  metadata TEXT NOT NULL DEFAULT '{}',
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
);
CREATE INDEX tasks_status ON tasks (status, priority);
CREATE INDEX tasks_agent ON tasks (agent_id);
CREATE INDEX tasks_assignee ON tasks (assignee);
CREATE INDEX tasks_parent ON tasks (parent_task_id);

CREATE VIRTUAL TABLE tasks_fts USING fts5(
  title, description, tags,
  content = 'tasks', content_rowid = 'seq', tokenize = 'porter unicode61'
);
CREATE TRIGGER tasks_inserted AFTER INSERT ON tasks BEGIN
  INSERT INTO tasks_fts (rowid, title, description, tags)
  VALUES (new.seq, new.title, new.description, new.tags);
END;
CREATE TRIGGER tasks_deleted AFTER DELETE ON tasks BEGIN
  INSERT INTO tasks_fts (tasks_fts, rowid, title, description, tags)
  VALUES ('delete', old.seq, old.title, old.description, old.tags);
END;
CREATE TRIGGER tasks_updated AFTER UPDATE OF title, description, tags ON tasks BEGIN
  INSERT INTO tasks_fts (tasks_fts, rowid, title, description, tags)
  VALUES ('delete', old.seq, old.title, old.description, old.tags);
  INSERT INTO tasks_fts (rowid, title, description, tags)
  VALUES (new.seq, new.title, new.description, new.tags);
END;

-- Up to where each partition of the write log has been applied, and by which lease's holder.
CREATE TABLE positions (
  partition INTEGER PRIMARY KEY,
  epoch TEXT NOT NULL,
  entry_id TEXT NOT NULL,
  fence INTEGER NOT NULL
);
