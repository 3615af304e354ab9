-- Confidence is kept to a trillionth, or steps of 0.1 would drift: 0.5 + 5 * 0.1 would not be 1.
-- Adding 1.5 * 2^52 and taking it away leaves the nearest whole number (of two as near, the even
-- one) on every machine; round() says something else in SQLite than in PostgreSQL.

-- name: create_lesson
-- The same lesson again is no news; another one with an id that is taken violates NOT NULL.
INSERT INTO lessons (
  id, agent_id, type, context, action, outcome, lesson, correction, confidence, occurrences,
  last_seen, tags, related_tools, source_episode_ids, embedding, visibility, created_at, updated_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
ON CONFLICT (id) DO UPDATE SET created_at = CASE
  WHEN lessons.agent_id = excluded.agent_id AND lessons.created_at = excluded.created_at
    THEN lessons.created_at END;

-- name: update_lesson
-- %s is the list of assignments, from $3 on.
UPDATE lessons SET %s WHERE id = $1 AND agent_id = $2 RETURNING id;

-- name: reinforce_lesson
UPDATE lessons SET
  occurrences = occurrences + 1,
  confidence = CASE WHEN confidence < 0.9
    THEN ((confidence + 0.1) * 1e12 + 6755399441055744.0 - 6755399441055744.0) / 1e12 ELSE 1 END,
  last_seen = CASE WHEN last_seen < $3 THEN $3 ELSE last_seen END,
  updated_at = $3
WHERE id = $1 AND agent_id = $2 RETURNING id;

-- name: decay_lesson
UPDATE lessons SET
  confidence = CASE WHEN confidence > $3
    THEN ((confidence - $3) * 1e12 + 6755399441055744.0 - 6755399441055744.0) / 1e12 ELSE 0 END,
  updated_at = $4
WHERE id = $1 AND agent_id = $2 RETURNING id;

-- name: decay_lessons
UPDATE lessons SET
  confidence = CASE WHEN confidence > $3
    THEN ((confidence - $3) * 1e12 + 6755399441055744.0 - 6755399441055744.0) / 1e12 ELSE 0 END,
  updated_at = $4
WHERE agent_id = $1 AND last_seen < $2;

-- name: delete_lesson
DELETE FROM lessons WHERE id = $1 AND agent_id = $2;

-- name: give_up_lesson
DELETE FROM lessons WHERE id = $1 AND agent_id = $2
RETURNING occurrences, last_seen, tags, related_tools, source_episode_ids;

-- name: take_over_lesson
UPDATE lessons SET
  occurrences = occurrences + $3,
  last_seen = CASE WHEN last_seen < $4 THEN $4 ELSE last_seen END,
  updated_at = $5
WHERE id = $1 AND agent_id = $2 RETURNING tags, related_tools, source_episode_ids;

-- name: get_lesson
SELECT %s FROM lessons WHERE id = $2 AND {shared lessons};

-- name: list_lessons
-- The last seen first. An empty $2 stands for any type.
SELECT %s FROM lessons
WHERE {shared lessons}
  AND ($2 = '' OR type = $2)
  AND confidence >= $3
  AND last_seen >= $4 AND last_seen < $5
ORDER BY last_seen DESC, id DESC LIMIT $6 OFFSET $7;
