-- Vector searches keep embeddings in memory. Of each table that is searched: what has changed since
-- they were read. Whatever gives a row its embedding, or a number to a row that has one, leaves a
-- change, whoever does it; a row that is gone need not (REPLACE leaves nothing), for the rows that
-- are found are looked up. `mark` makes one change differ from another of the same number, in a file
-- that was put back to what it had been. The last 50,000 are kept.

CREATE TABLE memory_items_changes (
  change INTEGER PRIMARY KEY, seq INTEGER NOT NULL, mark INTEGER NOT NULL DEFAULT (random())
);
CREATE TABLE lessons_changes (
  change INTEGER PRIMARY KEY, seq INTEGER NOT NULL, mark INTEGER NOT NULL DEFAULT (random())
);
CREATE TABLE knowledge_chunks_changes (
  change INTEGER PRIMARY KEY, seq INTEGER NOT NULL, mark INTEGER NOT NULL DEFAULT (random())
);
CREATE TABLE shared_knowledge_changes (
  change INTEGER PRIMARY KEY, seq INTEGER NOT NULL, mark INTEGER NOT NULL DEFAULT (random())
);
-- A change that everything comes after.
INSERT INTO memory_items_changes (seq) VALUES (0);
INSERT INTO lessons_changes (seq) VALUES (0);
INSERT INTO knowledge_chunks_changes (seq) VALUES (0);
INSERT INTO shared_knowledge_changes (seq) VALUES (0);

CREATE TRIGGER memory_items_changes_kept AFTER INSERT ON memory_items_changes BEGIN
  DELETE FROM memory_items_changes WHERE change <= new.change - 50000;
END;
CREATE TRIGGER lessons_changes_kept AFTER INSERT ON lessons_changes BEGIN
  DELETE FROM lessons_changes WHERE change <= new.change - 50000;
END;
CREATE TRIGGER knowledge_chunks_changes_kept AFTER INSERT ON knowledge_chunks_changes BEGIN
  DELETE FROM knowledge_chunks_changes WHERE change <= new.change - 50000;
END;
CREATE TRIGGER shared_knowledge_changes_kept AFTER INSERT ON shared_knowledge_changes BEGIN
  DELETE FROM shared_knowledge_changes WHERE change <= new.change - 50000;
END;

-- The number has a trigger of its own, for it may be changed by other names (`SET rowid = ..`).
CREATE TRIGGER memory_items_embedded AFTER INSERT ON memory_items
WHEN new.embedding IS NOT NULL BEGIN
  INSERT INTO memory_items_changes (seq) VALUES (new.seq);
END;
CREATE TRIGGER memory_items_embedded_anew AFTER UPDATE OF embedding ON memory_items BEGIN
  INSERT INTO memory_items_changes (seq) VALUES (new.seq);
END;
CREATE TRIGGER memory_items_numbered_anew AFTER UPDATE ON memory_items
WHEN new.seq <> old.seq BEGIN
  INSERT INTO memory_items_changes (seq) VALUES (old.seq), (new.seq);
END;
CREATE TRIGGER memory_items_gone AFTER DELETE ON memory_items
WHEN old.embedding IS NOT NULL BEGIN
  INSERT INTO memory_items_changes (seq) VALUES (old.seq);
END;

CREATE TRIGGER lessons_embedded AFTER INSERT ON lessons WHEN new.embedding IS NOT NULL BEGIN
  INSERT INTO lessons_changes (seq) VALUES (new.seq);
END;
CREATE TRIGGER lessons_embedded_anew AFTER UPDATE OF embedding ON lessons BEGIN
  INSERT INTO lessons_changes (seq) VALUES (new.seq);
END;
CREATE TRIGGER lessons_numbered_anew AFTER UPDATE ON lessons WHEN new.seq <> old.seq BEGIN
  INSERT INTO lessons_changes (seq) VALUES (old.seq), (new.seq);
END;
CREATE TRIGGER lessons_gone AFTER DELETE ON lessons WHEN old.embedding IS NOT NULL BEGIN
  INSERT INTO lessons_changes (seq) VALUES (old.seq);
END;

CREATE TRIGGER knowledge_chunks_embedded AFTER INSERT ON knowledge_chunks
WHEN new.embedding IS NOT NULL BEGIN
  INSERT INTO knowledge_chunks_changes (seq) VALUES (new.seq);
END;
CREATE TRIGGER knowledge_chunks_embedded_anew AFTER UPDATE OF embedding ON knowledge_chunks BEGIN
  INSERT INTO knowledge_chunks_changes (seq) VALUES (new.seq);
END;
CREATE TRIGGER knowledge_chunks_numbered_anew AFTER UPDATE ON knowledge_chunks
WHEN new.seq <> old.seq BEGIN
  INSERT INTO knowledge_chunks_changes (seq) VALUES (old.seq), (new.seq);
END;
CREATE TRIGGER knowledge_chunks_gone AFTER DELETE ON knowledge_chunks
WHEN old.embedding IS NOT NULL BEGIN
  INSERT INTO knowledge_chunks_changes (seq) VALUES (old.seq);
END;

CREATE TRIGGER shared_knowledge_embedded AFTER INSERT ON shared_knowledge
WHEN new.embedding IS NOT NULL BEGIN
  INSERT INTO shared_knowledge_changes (seq) VALUES (new.seq);
END;
CREATE TRIGGER shared_knowledge_embedded_anew AFTER UPDATE OF embedding ON shared_knowledge BEGIN
  INSERT INTO shared_knowledge_changes (seq) VALUES (new.seq);
END;
CREATE TRIGGER shared_knowledge_numbered_anew AFTER UPDATE ON shared_knowledge
WHEN new.seq <> old.seq BEGIN
  INSERT INTO shared_knowledge_changes (seq) VALUES (old.seq), (new.seq);
END;
CREATE TRIGGER shared_knowledge_gone AFTER DELETE ON shared_knowledge
WHEN old.embedding IS NOT NULL BEGIN
  INSERT INTO shared_knowledge_changes (seq) VALUES (old.seq);
END;

-- What an agent may see beside its own is found without looking at every row, as in PostgreSQL.
CREATE INDEX memory_items_shared ON memory_items (visibility, agent_id)
  WHERE visibility <> 'private';
