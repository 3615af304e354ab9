-- name: create_candidate
-- A fact that is pending already: the first one takes the higher confidence and the later expiry.
INSERT INTO live_candidates (
  id, agent_id, session_key, message_id, role, candidate_type, fact_text, fact_hash, confidence,
  trigger_flags, entities, memory_type_hint, significance_hint, source_ts, expires_at, status,
  promoted_item_id, promotion_reason, created_at, updated_at
) VALUES (
  $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20
)
ON CONFLICT (agent_id, fact_hash) WHERE status = 'pending' DO UPDATE SET
  confidence = CASE WHEN live_candidates.confidence < excluded.confidence
    THEN excluded.confidence ELSE live_candidates.confidence END,
  expires_at = CASE WHEN live_candidates.expires_at < excluded.expires_at
    THEN excluded.expires_at ELSE live_candidates.expires_at END,
  updated_at = CASE WHEN live_candidates.updated_at < excluded.created_at
    THEN excluded.created_at ELSE live_candidates.updated_at END;

-- name: known
-- %s: as many placeholders as there are ids.
SELECT id, agent_id, created_at, fact_hash FROM live_candidates WHERE id IN (%s);

-- name: settle
-- What is pending becomes $3, and is locked for whatever else is to be done with it.
UPDATE live_candidates SET status = $3, promotion_reason = $4, updated_at = $5
WHERE id = $1 AND agent_id = $2 AND status = 'pending' RETURNING %s;

-- name: note_item
UPDATE live_candidates SET promoted_item_id = $2 WHERE id = $1;

-- name: status_of
SELECT status FROM live_candidates WHERE id = $1 AND agent_id = $2;

-- name: item_with_hash
SELECT id FROM memory_items WHERE agent_id = $1 AND content_hash = $2;

-- name: expire
UPDATE live_candidates SET status = 'expired', updated_at = $2
WHERE agent_id = $1 AND status = 'pending' AND expires_at <= $2;

-- name: get_candidate
SELECT %s FROM live_candidates WHERE id = $2 AND {own live_candidates};

-- name: find_candidate
-- The pending one with the hash $2.
SELECT %s FROM live_candidates
WHERE fact_hash = $2 AND status = 'pending' AND {own live_candidates}
ORDER BY created_at, id LIMIT 1;

-- name: list_candidates
-- The newest first. Empty filters stand for any value; of $5 and $6 what expires then.
SELECT %s FROM live_candidates
WHERE {own live_candidates}
  AND ($2 = '' OR status = $2)
  AND ($3 = '' OR session_key = $3)
  AND ($4 = '' OR candidate_type = $4)
  AND expires_at >= $5 AND expires_at < $6
ORDER BY created_at DESC, id DESC LIMIT $7 OFFSET $8;
