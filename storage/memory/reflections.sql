-- name: create_reflection
-- The same reflection again is no news; another one with an id that is taken violates NOT NULL.
INSERT INTO reflections (
  id, agent_id, trigger_type, period_start, period_end, content, lessons_extracted,
  entities_involved, self_insights, mood, created_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (id) DO UPDATE SET created_at = CASE
  WHEN reflections.agent_id = excluded.agent_id AND reflections.created_at = excluded.created_at
    AND reflections.content = excluded.content THEN reflections.created_at END;

-- name: get_reflection
SELECT %s FROM reflections WHERE id = $2 AND {own reflections};

-- name: list_reflections
-- The newest first. An empty $2 stands for any trigger. Of $3 to $4, a reflection is about some time.
SELECT %s FROM reflections
WHERE {own reflections}
  AND ($2 = '' OR trigger_type = $2)
  AND COALESCE(period_end, created_at) >= $3
  AND COALESCE(period_start, period_end, created_at) < $4
ORDER BY created_at DESC, id DESC LIMIT $5 OFFSET $6;
