-- What is indexed with an item, such as the turns of a conversation around it. A word there counts
-- for half of one in the item itself: so it was found by `argentbus bench recall`.

ALTER TABLE memory_items ADD COLUMN context TEXT;

DROP TRIGGER memory_items_inserted;
DROP TRIGGER memory_items_deleted;
DROP TRIGGER memory_items_updated;
DROP TABLE memory_items_fts;

CREATE VIRTUAL TABLE memory_items_fts USING fts5(
  summary, reflection, lesson, context,
  content = 'memory_items', content_rowid = 'seq', tokenize = 'porter unicode61'
);
INSERT INTO memory_items_fts (memory_items_fts, rank) VALUES ('rank', 'bm25(1.0, 1.0, 1.0, 0.5)');
INSERT INTO memory_items_fts (memory_items_fts) VALUES ('rebuild');

CREATE TRIGGER memory_items_inserted AFTER INSERT ON memory_items BEGIN
  INSERT INTO memory_items_fts (rowid, summary, reflection, lesson, context)
  VALUES (new.seq, new.summary, new.reflection, new.lesson, new.context);
END;
CREATE TRIGGER memory_items_deleted AFTER DELETE ON memory_items BEGIN
  INSERT INTO memory_items_fts (memory_items_fts, rowid, summary, reflection, lesson, context)
  VALUES ('delete', old.seq, old.summary, old.reflection, old.lesson, old.context);
END;
CREATE TRIGGER memory_items_updated AFTER UPDATE OF summary, reflection, lesson, context
ON memory_items BEGIN
  INSERT INTO memory_items_fts (memory_items_fts, rowid, summary, reflection, lesson, context)
  VALUES ('delete', old.seq, old.summary, old.reflection, old.lesson, old.context);
  INSERT INTO memory_items_fts (rowid, summary, reflection, lesson, context)
  VALUES (new.seq, new.summary, new.reflection, new.lesson, new.context);
END;
