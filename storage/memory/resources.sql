-- name: create_resource
-- The same resource again is no news; another one with an id that is taken violates NOT NULL.
INSERT INTO resources (
  id, agent_id, url, modality, local_path, caption, embedding, visibility, created_at, updated_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (id) DO UPDATE SET created_at = CASE WHEN resources.agent_id = excluded.agent_id
  AND resources.created_at = excluded.created_at THEN resources.created_at END;

-- name: delete_resource
DELETE FROM resources WHERE id = $1 AND agent_id = $2;

-- name: get_resource
SELECT %s FROM resources WHERE id = $2 AND {shared resources};

-- name: list_resources
-- The newest first. Empty filters stand for any value.
SELECT %s FROM resources
WHERE {shared resources}
  AND ($2 = '' OR modality = $2)
  AND ($3 = '' OR visibility = $3)
  AND ($4 = '' OR url = $4)
ORDER BY created_at DESC, id DESC LIMIT $5 OFFSET $6;
