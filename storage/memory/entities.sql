-- name: create
-- The same entity again is no news; another one with an id that is taken violates NOT NULL.
INSERT INTO entities (
  id, agent_id, name, entity_type, relationship, bond_strength, emotional_texture,
  profile_summary, first_mentioned_at, last_mentioned_at, memory_count, embedding, visibility,
  created_at, updated_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
ON CONFLICT (id) DO UPDATE SET created_at = CASE WHEN entities.agent_id = excluded.agent_id
  AND entities.created_at = excluded.created_at THEN entities.created_at END;

-- name: ensure
INSERT INTO entities (
  id, agent_id, name, entity_type, relationship, bond_strength, emotional_texture,
  profile_summary, first_mentioned_at, last_mentioned_at, memory_count, embedding, visibility,
  created_at, updated_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
ON CONFLICT (agent_id, name) DO NOTHING;

-- name: update
-- %s is the list of assignments, from $3 on.
UPDATE entities SET %s WHERE id = $1 AND agent_id = $2 RETURNING id;

-- name: delete
DELETE FROM entities WHERE id = $1 AND agent_id = $2;

-- name: link
-- Nothing comes back where the two are linked already, or one of them is not the agent's ($4).
INSERT INTO item_entities (item_id, entity_id, role)
SELECT memory_items.id, entities.id, $3 FROM memory_items
JOIN entities ON entities.agent_id = memory_items.agent_id
WHERE memory_items.id = $1 AND entities.id = $2 AND memory_items.agent_id = $4
ON CONFLICT (item_id, entity_id) DO NOTHING
RETURNING item_id;

-- name: relink
-- The role of two that are linked already.
UPDATE item_entities SET role = $3 WHERE item_id = $1 AND entity_id = $2 AND EXISTS (
  SELECT 1 FROM entities WHERE entities.id = $2 AND entities.agent_id = $4)
RETURNING item_id;

-- name: mentioned
UPDATE entities SET
  memory_count = memory_count + 1,
  first_mentioned_at = COALESCE(first_mentioned_at, $2),
  last_mentioned_at = CASE WHEN last_mentioned_at > $2 THEN last_mentioned_at ELSE $2 END,
  updated_at = $2
WHERE id = $1;

-- name: unlink
DELETE FROM item_entities WHERE item_id = $1 AND entity_id = $2 AND EXISTS (
  SELECT 1 FROM entities WHERE entities.id = $2 AND entities.agent_id = $3)
RETURNING item_id;

-- name: unmentioned
UPDATE entities SET
  memory_count = CASE WHEN memory_count > 0 THEN memory_count - 1 ELSE 0 END, updated_at = $2
WHERE id = $1;

-- name: get_entity
SELECT %s FROM entities WHERE id = $2 AND {shared entities};

-- name: find_entity
SELECT %s FROM entities WHERE name = $2 AND {own entities} ORDER BY created_at, id LIMIT 1;

-- name: list_entities
-- The strongest bonds first. Empty filters stand for any value.
SELECT %s FROM entities
WHERE {shared entities}
  AND ($2 = '' OR entity_type = $2)
  AND ($3 = '' OR visibility = $3)
  AND bond_strength >= $4
ORDER BY bond_strength DESC, name, id LIMIT $5 OFFSET $6;

-- name: entities_of_item
SELECT %s, link.role FROM entities
JOIN item_entities AS link ON link.entity_id = entities.id
JOIN memory_items ON memory_items.id = link.item_id
WHERE link.item_id = $2 AND {shared entities} AND {shared memory_items}
ORDER BY entities.bond_strength DESC, entities.name, entities.id;
