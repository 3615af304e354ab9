-- name: publish
-- The same again is no news; another one with an id that is taken violates NOT NULL.
INSERT INTO shared_knowledge (
  id, source_agent_id, source_item_id, category, title, content, embedding, confidence,
  endorsements, created_at, updated_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (id) DO UPDATE SET created_at = CASE
  WHEN shared_knowledge.created_at = excluded.created_at
    AND shared_knowledge.source_agent_id = excluded.source_agent_id
  THEN shared_knowledge.created_at END;

-- name: endorse
INSERT INTO knowledge_endorsements (knowledge_id, agent_id, at)
SELECT id, $2, $3 FROM shared_knowledge WHERE id = $1
ON CONFLICT (knowledge_id, agent_id) DO NOTHING RETURNING knowledge_id;

-- name: count_endorsement
UPDATE shared_knowledge SET endorsements = endorsements + 1, updated_at = $2 WHERE id = $1;

-- name: exists
SELECT id FROM shared_knowledge WHERE id = $1;

-- name: delete
-- $2 is the agent; empty for operators.
DELETE FROM shared_knowledge WHERE id = $1 AND ($2 = '' OR source_agent_id = $2);

-- name: get
SELECT %s FROM shared_knowledge WHERE id = $2 AND {everybody};

-- name: list
-- The most endorsed first, then the newest. An empty $2 or $3 stands for any category, any agent.
SELECT %s FROM shared_knowledge
WHERE {everybody} AND ($2 = '' OR category = $2) AND ($3 = '' OR source_agent_id = $3)
ORDER BY endorsements DESC, created_at DESC, id LIMIT $4 OFFSET $5;

-- name: in_category
shared_knowledge.category = $2;
