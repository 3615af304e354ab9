-- How many numbers a vector has, which no type says here: that of the vectors that there are, or else
-- `{dimensions}`, the setting of who runs this. Whoever writes looks here first.

CREATE TABLE settings (
  name TEXT PRIMARY KEY NOT NULL,
  value TEXT NOT NULL
) WITHOUT ROWID;

INSERT INTO settings (name, value)
SELECT 'dimensions', coalesce(
  (SELECT length(embedding) / 4 FROM memory_items WHERE embedding IS NOT NULL LIMIT 1),
  (SELECT length(embedding) / 4 FROM resources WHERE embedding IS NOT NULL LIMIT 1),
  (SELECT length(embedding) / 4 FROM categories WHERE embedding IS NOT NULL LIMIT 1),
  (SELECT length(embedding) / 4 FROM entities WHERE embedding IS NOT NULL LIMIT 1),
  (SELECT length(embedding) / 4 FROM lessons WHERE embedding IS NOT NULL LIMIT 1),
  (SELECT length(embedding) / 4 FROM knowledge_chunks WHERE embedding IS NOT NULL LIMIT 1),
  (SELECT length(embedding) / 4 FROM shared_knowledge WHERE embedding IS NOT NULL LIMIT 1),
  {dimensions});
