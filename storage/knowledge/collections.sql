-- name: create_collection
INSERT INTO knowledge_collections (
  id, collection_name, collection_tag, owner_agent_id, created_at, updated_at
) VALUES ($1, $2, $3, $4, $5, $6);

-- name: collections_like
-- Those that have the id $1 or the tag $2 already.
SELECT %s FROM knowledge_collections WHERE id = $1 OR collection_tag = $2;

-- name: delete_collection
DELETE FROM knowledge_collections WHERE id = $1;

-- name: rights
-- What the agent $2 may do in the collection $1.
SELECT made.owner_agent_id, mine.can_read, mine.can_write, mine.is_owner
FROM knowledge_collections AS made
LEFT JOIN knowledge_collection_grants AS mine
  ON mine.collection_id = made.id AND mine.agent_id = $2
WHERE made.id = $1;

-- name: grant
-- An agent has one grant in a collection: another one changes it.
INSERT INTO knowledge_collection_grants (
  id, collection_id, agent_id, can_read, can_write, is_owner, created_at, updated_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (collection_id, agent_id) DO UPDATE SET
  can_read = excluded.can_read, can_write = excluded.can_write, is_owner = excluded.is_owner,
  updated_at = excluded.updated_at;

-- name: revoke
DELETE FROM knowledge_collection_grants WHERE collection_id = $1 AND agent_id = $2;

-- name: get_collection
-- By id or by tag.
SELECT %s FROM knowledge_collections
WHERE (id = $2 OR collection_tag = $2) AND {visible_collections}
ORDER BY CASE WHEN id = $2 THEN 0 ELSE 1 END LIMIT 1;

-- name: list_collections
SELECT %s FROM knowledge_collections WHERE {visible_collections}
ORDER BY collection_tag LIMIT $2 OFFSET $3;

-- name: some_collections
-- %s: the columns, then as many placeholders as there are ids.
SELECT %s FROM knowledge_collections WHERE id IN (%s) AND {visible_collections};

-- name: list_grants
SELECT %s FROM knowledge_collection_grants
WHERE collection_id = $2 AND {visible_grants} ORDER BY agent_id;

-- name: own_grant
-- What lets the agent write into a collection that it may not read.
SELECT collection_id FROM knowledge_collection_grants
WHERE collection_id = $2 AND agent_id = $1 AND can_write;
