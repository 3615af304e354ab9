-- name: stored_chunks
-- What there is of the document $3 in the collection $2.
SELECT id, section, start_offset, metadata, CASE WHEN embedding IS NULL THEN 0 ELSE 1 END
FROM knowledge_chunks
WHERE collection_id = $2 AND source = $3 AND {readable knowledge_chunks};

-- name: list_documents
SELECT source, count(*), count(embedding), min(created_at), max(updated_at)
FROM knowledge_chunks
WHERE collection_id = $2 AND {readable knowledge_chunks}
GROUP BY source ORDER BY source LIMIT $3 OFFSET $4;

-- name: list_chunks
-- In the order of the document, from the offset $4 on.
SELECT %s FROM knowledge_chunks
WHERE collection_id = $2 AND source = $3 AND start_offset >= $4 AND {readable knowledge_chunks}
ORDER BY start_offset, id LIMIT $5;

-- name: in_collections
-- %s: as many placeholders as there are ids.
knowledge_chunks.collection_id IN (%s);

-- name: in_source
knowledge_chunks.source = $2;

-- name: ingest
-- A chunk that stands there changes where it stands, and keeps its embedding unless another comes.
INSERT INTO knowledge_chunks (
  id, collection_id, agent_id, source, section, start_offset, content, context, content_hash,
  embedding, metadata, created_at, updated_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (id) DO UPDATE SET
  section = excluded.section, start_offset = excluded.start_offset,
  embedding = COALESCE(excluded.embedding, knowledge_chunks.embedding),
  metadata = excluded.metadata, updated_at = excluded.updated_at
WHERE COALESCE(knowledge_chunks.section, '') <> COALESCE(excluded.section, '')
  OR knowledge_chunks.start_offset <> excluded.start_offset
  OR knowledge_chunks.metadata <> excluded.metadata
  OR excluded.embedding IS NOT NULL
    AND (knowledge_chunks.embedding IS NULL OR knowledge_chunks.embedding <> excluded.embedding);

-- name: ids_of_document
SELECT id FROM knowledge_chunks WHERE collection_id = $1 AND source = $2 ORDER BY id;

-- name: delete_chunks
-- %s: as many placeholders as there are ids.
DELETE FROM knowledge_chunks WHERE id IN (%s);

-- name: delete_document
DELETE FROM knowledge_chunks WHERE collection_id = $1 AND source = $2;
