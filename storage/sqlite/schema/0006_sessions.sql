-- Sessions of agents, and what was seen in them.

CREATE TABLE sessions (
  id TEXT PRIMARY KEY NOT NULL,
  agent_id TEXT NOT NULL,
  session_key TEXT NOT NULL UNIQUE,
  channel_id TEXT,
  status TEXT NOT NULL DEFAULT 'active',
  project_path TEXT,
  started_at TEXT NOT NULL,
  last_activity_at TEXT NOT NULL,
  ended_at TEXT,
  message_count INTEGER NOT NULL DEFAULT 0,
  token_count INTEGER,
  summary TEXT,
  metadata TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX sessions_agent_activity ON sessions (agent_id, last_activity_at);

CREATE TABLE observations (
  seq INTEGER PRIMARY KEY,
  id INTEGER NOT NULL UNIQUE,
  session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  agent_id TEXT,
  type TEXT NOT NULL DEFAULT 'tool_result' CHECK (type IN ('session_start', 'session_end',
    'tool_call', 'tool_result', 'user_message', 'assistant_message', 'error', 'note', 'learning')),
  tool_name TEXT,
  input TEXT,
  output TEXT,
  summary TEXT,
  channel_id TEXT,
  importance INTEGER NOT NULL DEFAULT 5,
  metadata TEXT NOT NULL DEFAULT '{}',
  created_at TEXT NOT NULL
);
CREATE INDEX observations_session ON observations (session_id, id);
CREATE INDEX observations_agent ON observations (agent_id, id);

CREATE VIRTUAL TABLE observations_fts USING fts5(
  summary, output,
  content = 'observations', content_rowid = 'seq', tokenize = 'porter unicode61'
);
CREATE TRIGGER observations_inserted AFTER INSERT ON observations BEGIN
  INSERT INTO observations_fts (rowid, summary, output)
  VALUES (new.seq, new.summary, new.output);
END;
CREATE TRIGGER observations_deleted AFTER DELETE ON observations BEGIN
  INSERT INTO observations_fts (observations_fts, rowid, summary, output)
  VALUES ('delete', old.seq, old.summary, old.output);
END;
CREATE TRIGGER observations_updated AFTER UPDATE OF summary, output ON observations
BEGIN
  INSERT INTO observations_fts (observations_fts, rowid, summary, output)
  VALUES ('delete', old.seq, old.summary, old.output);
  INSERT INTO observations_fts (rowid, summary, output)
  VALUES (new.seq, new.summary, new.output);
END;
