-- name: open_session
-- The same session again is no news. A key that the agent has used: that session is active again. One
-- that is another agent's: violates NOT NULL.
INSERT INTO sessions (
  id, agent_id, session_key, channel_id, status, project_path, started_at, last_activity_at, ended_at,
  message_count, token_count, summary, metadata
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (session_key) DO UPDATE SET
  agent_id = CASE WHEN sessions.agent_id = excluded.agent_id THEN sessions.agent_id END,
  channel_id = CASE WHEN sessions.id = excluded.id OR excluded.channel_id IS NULL
    THEN sessions.channel_id ELSE excluded.channel_id END,
  project_path = CASE WHEN sessions.id = excluded.id OR excluded.project_path IS NULL
    THEN sessions.project_path ELSE excluded.project_path END,
  status = CASE WHEN sessions.id = excluded.id THEN sessions.status ELSE excluded.status END,
  ended_at = CASE WHEN sessions.id = excluded.id THEN sessions.ended_at ELSE excluded.ended_at END,
  last_activity_at = CASE
    WHEN sessions.id = excluded.id OR sessions.last_activity_at > excluded.last_activity_at
    THEN sessions.last_activity_at ELSE excluded.last_activity_at END;

-- name: touch_session
UPDATE sessions SET
  message_count = message_count + $3,
  token_count = CASE WHEN CAST($4 AS BIGINT) < 0 THEN token_count ELSE COALESCE(token_count, 0) + $4 END,
  last_activity_at = CASE WHEN last_activity_at < $5 THEN $5 ELSE last_activity_at END
WHERE id = $1 AND agent_id = $2 RETURNING id;

-- name: close_session
-- Closed again, it ended when it did at first.
UPDATE sessions SET
  status = $3,
  summary = COALESCE($4, summary),
  ended_at = COALESCE(ended_at, $5),
  last_activity_at = CASE WHEN last_activity_at < $5 THEN $5 ELSE last_activity_at END
WHERE id = $1 AND agent_id = $2 RETURNING id;

-- name: delete_session
DELETE FROM sessions WHERE id = $1 AND agent_id = $2;

-- name: get_session
SELECT %s FROM sessions WHERE id = $2 AND {own sessions};

-- name: find_session
SELECT %s FROM sessions WHERE session_key = $2 AND {own sessions};

-- name: list_sessions
-- The last active first. Empty filters stand for any value.
SELECT %s FROM sessions
WHERE {own sessions}
  AND ($2 = '' OR status = $2)
  AND ($3 = '' OR channel_id = $3)
  AND last_activity_at >= $4 AND last_activity_at < $5
ORDER BY last_activity_at DESC, id DESC LIMIT $6 OFFSET $7;
