-- What agents share on purpose: collections of documents, by grant, and the library of the family.

CREATE TABLE knowledge_collections (
  id TEXT PRIMARY KEY NOT NULL,
  collection_name TEXT NOT NULL,
  collection_tag TEXT NOT NULL UNIQUE,
  owner_agent_id TEXT,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
);

CREATE TABLE knowledge_collection_grants (
  id TEXT PRIMARY KEY NOT NULL,
  collection_id TEXT NOT NULL REFERENCES knowledge_collections (id) ON DELETE CASCADE,
  agent_id TEXT NOT NULL,
  can_read INTEGER NOT NULL DEFAULT 1,
  can_write INTEGER NOT NULL DEFAULT 0,
  is_owner INTEGER NOT NULL DEFAULT 0,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  UNIQUE (collection_id, agent_id)
);
CREATE INDEX knowledge_collection_grants_agent ON knowledge_collection_grants (agent_id);

-- A piece of a document, and where it stands there. ArgentOS keeps these among the memory items; here
-- a text may stand in two collections, and goes with its collection.
CREATE TABLE knowledge_chunks (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  collection_id TEXT NOT NULL REFERENCES knowledge_collections (id) ON DELETE CASCADE,
  agent_id TEXT NOT NULL,
  source TEXT NOT NULL,
  section TEXT,
  start_offset INTEGER NOT NULL DEFAULT 0,
  content TEXT NOT NULL,
  context TEXT,
  content_hash TEXT NOT NULL,
  embedding BLOB,
  metadata TEXT NOT NULL DEFAULT '{}',
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  UNIQUE (collection_id, source, content_hash)
);

CREATE VIRTUAL TABLE knowledge_chunks_fts USING fts5(
  content, context,
  content = 'knowledge_chunks', content_rowid = 'seq', tokenize = 'porter unicode61'
);
CREATE TRIGGER knowledge_chunks_inserted AFTER INSERT ON knowledge_chunks BEGIN
  INSERT INTO knowledge_chunks_fts (rowid, content, context)
  VALUES (new.seq, new.content, new.context);
END;
CREATE TRIGGER knowledge_chunks_deleted AFTER DELETE ON knowledge_chunks BEGIN
  INSERT INTO knowledge_chunks_fts (knowledge_chunks_fts, rowid, content, context)
  VALUES ('delete', old.seq, old.content, old.context);
END;
CREATE TRIGGER knowledge_chunks_updated AFTER UPDATE OF content, context ON knowledge_chunks
BEGIN
  INSERT INTO knowledge_chunks_fts (knowledge_chunks_fts, rowid, content, context)
  VALUES ('delete', old.seq, old.content, old.context);
  INSERT INTO knowledge_chunks_fts (rowid, content, context)
  VALUES (new.seq, new.content, new.context);
END;

CREATE TABLE shared_knowledge (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  source_agent_id TEXT NOT NULL,
  source_item_id TEXT,
  category TEXT NOT NULL CHECK (category IN ('lesson', 'fact', 'tool_tip', 'pattern')),
  title TEXT NOT NULL,
  content TEXT NOT NULL,
  embedding BLOB,
  confidence REAL NOT NULL DEFAULT 0.5 CHECK (confidence BETWEEN 0 AND 1),
  endorsements INTEGER NOT NULL DEFAULT 0,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
);

CREATE VIRTUAL TABLE shared_knowledge_fts USING fts5(
  title, content,
  content = 'shared_knowledge', content_rowid = 'seq', tokenize = 'porter unicode61'
);
CREATE TRIGGER shared_knowledge_inserted AFTER INSERT ON shared_knowledge BEGIN
  INSERT INTO shared_knowledge_fts (rowid, title, content)
  VALUES (new.seq, new.title, new.content);
END;
CREATE TRIGGER shared_knowledge_deleted AFTER DELETE ON shared_knowledge BEGIN
  INSERT INTO shared_knowledge_fts (shared_knowledge_fts, rowid, title, content)
  VALUES ('delete', old.seq, old.title, old.content);
END;
CREATE TRIGGER shared_knowledge_updated AFTER UPDATE OF title, content ON shared_knowledge
BEGIN
  INSERT INTO shared_knowledge_fts (shared_knowledge_fts, rowid, title, content)
  VALUES ('delete', old.seq, old.title, old.content);
  INSERT INTO shared_knowledge_fts (rowid, title, content)
  VALUES (new.seq, new.title, new.content);
END;

-- Who endorsed what: once each.
CREATE TABLE knowledge_endorsements (
  knowledge_id TEXT NOT NULL REFERENCES shared_knowledge (id) ON DELETE CASCADE,
  agent_id TEXT NOT NULL,
  at TEXT NOT NULL,
  PRIMARY KEY (knowledge_id, agent_id)
);
