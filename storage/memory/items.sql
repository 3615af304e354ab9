-- name: create_item
-- A second item with an agent's existing hash reinforces the first; the same item again is no news.
INSERT INTO memory_items (
  id, agent_id, resource_id, memory_type, summary, context, embedding, happened_at, content_hash,
  reinforcement_count, last_reinforced_at, extra, emotional_valence, emotional_arousal,
  mood_at_capture, significance, reflection, lesson, visibility, created_at, updated_at
) VALUES (
  $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21
)
ON CONFLICT (agent_id, content_hash) DO UPDATE SET
  reinforcement_count = memory_items.reinforcement_count
    + CASE WHEN memory_items.id = excluded.id THEN 0 ELSE 1 END,
  last_reinforced_at = CASE WHEN memory_items.id = excluded.id
    THEN memory_items.last_reinforced_at ELSE excluded.created_at END,
  updated_at = CASE WHEN memory_items.id = excluded.id
    THEN memory_items.updated_at ELSE excluded.created_at END;

-- name: update_item
-- %s is the list of assignments, from $3 on.
UPDATE memory_items SET %s WHERE id = $1 AND agent_id = $2 RETURNING id;

-- name: reinforce_item
UPDATE memory_items
SET reinforcement_count = reinforcement_count + 1, last_reinforced_at = $3, updated_at = $3
WHERE id = $1 AND agent_id = $2 RETURNING id;

-- name: unmentioned
-- Entities are mentioned once less when an item that mentions them goes.
UPDATE entities SET memory_count = CASE WHEN memory_count > 0 THEN memory_count - 1 ELSE 0 END
WHERE id IN (
  SELECT link.entity_id FROM item_entities AS link
  JOIN memory_items ON memory_items.id = link.item_id
  WHERE memory_items.id = $1 AND memory_items.agent_id = $2);

-- name: delete_item
DELETE FROM memory_items WHERE id = $1 AND agent_id = $2;

-- name: get_item
SELECT %s FROM memory_items WHERE id = $2 AND {shared memory_items};

-- name: find_by_hash
SELECT %s FROM memory_items
WHERE content_hash = $2 AND ($1 = '' OR agent_id = $1)
ORDER BY created_at, id LIMIT 1;

-- name: list_items
-- The newest first.
SELECT %s FROM memory_items WHERE {shared memory_items} {where}
ORDER BY created_at DESC, id DESC LIMIT $2 OFFSET $3;
