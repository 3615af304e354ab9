-- name: record_observations
-- The same observation again is no news; another one with an id that is taken violates NOT NULL.
INSERT INTO observations (
  id, session_id, agent_id, type, tool_name, input, output, summary, channel_id, importance, metadata,
  created_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (id) DO UPDATE SET session_id = CASE
  WHEN observations.session_id = excluded.session_id AND observations.agent_id = excluded.agent_id
    AND observations.created_at = excluded.created_at THEN observations.session_id END;

-- name: record_where_free
INSERT INTO observations (
  id, session_id, agent_id, type, tool_name, input, output, summary, channel_id, importance, metadata,
  created_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (id) DO NOTHING RETURNING id;

-- name: from_id
-- What stands at $1 and behind it.
SELECT id, session_id, agent_id, created_at FROM observations WHERE id >= $1 ORDER BY id LIMIT 1000;

-- name: list_observations
-- The newest first. Empty filters stand for any value; of $5 and $6 what was seen then.
SELECT %s FROM observations
WHERE {own observations}
  AND ($2 = '' OR session_id = $2)
  AND ($3 = '' OR type = $3)
  AND ($4 = '' OR tool_name = $4)
  AND importance >= $5
  AND created_at >= $6 AND created_at < $7
ORDER BY id DESC LIMIT $8 OFFSET $9;
