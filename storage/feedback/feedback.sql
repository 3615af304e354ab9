-- name: record_feedback
-- The same call again is no news; another one with an id that is taken violates NOT NULL.
INSERT INTO model_feedback (
  id, agent_id, provider, model, tier, session_type, complexity_score, duration_ms, success,
  error_type, input_tokens, output_tokens, total_tokens, tool_call_count, user_feedback, session_key,
  profile, self_eval_score, self_eval_reasoning, created_at
) VALUES (
  $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20
)
ON CONFLICT (id) DO UPDATE SET created_at = CASE
  WHEN model_feedback.agent_id = excluded.agent_id
    AND model_feedback.created_at = excluded.created_at
    AND model_feedback.model = excluded.model THEN model_feedback.created_at END;

-- name: rate_feedback
UPDATE model_feedback SET user_feedback = $3 WHERE id = $1 AND agent_id = $2 RETURNING id;

-- name: evaluate_feedback
UPDATE model_feedback SET self_eval_score = $3, self_eval_reasoning = $4
WHERE id = $1 AND agent_id = $2 RETURNING id;

-- name: get_feedback
SELECT %s FROM model_feedback WHERE id = $2 AND {own model_feedback};

-- name: list_feedback
-- The newest first. Empty filters stand for any value.
SELECT %s FROM model_feedback
WHERE {own model_feedback}
  AND created_at >= $2 AND created_at < $3
  AND ($4 = '' OR provider = $4)
  AND ($5 = '' OR model = $5)
  AND ($6 = '' OR tier = $6)
  AND ($7 = '' OR session_type = $7)
  AND ($8 = '' OR session_key = $8)
  AND ($9 = '' OR user_feedback = $9)
ORDER BY created_at DESC, id DESC LIMIT $10 OFFSET $11;

-- name: statistics
-- For each value of the columns %s. The 95th percentile is the nearest rank: the shortest call of
-- those that are as long as 95 % of them, or longer. Scores are added up in millionths, whole (see
-- lessons.sql), so that their order makes no difference.
WITH calls AS (
  SELECT %s, success, duration_ms, input_tokens, output_tokens, total_tokens, tool_call_count,
    user_feedback,
    CAST(self_eval_score * 1e6 + 6755399441055744.0 - 6755399441055744.0 AS BIGINT) AS score,
    ROW_NUMBER() OVER (PARTITION BY %s ORDER BY duration_ms) AS place,
    COUNT(*) OVER (PARTITION BY %s) AS size
  FROM model_feedback
  WHERE {own model_feedback} AND created_at >= $2 AND created_at < $3
)
SELECT %s, COUNT(*), SUM(CASE WHEN success THEN 1 ELSE 0 END), SUM(duration_ms),
  MIN(CASE WHEN place * 100 >= size * 95 THEN duration_ms END),
  SUM(input_tokens), SUM(output_tokens), SUM(total_tokens), SUM(tool_call_count),
  SUM(CASE WHEN user_feedback = 'up' THEN 1 ELSE 0 END),
  SUM(CASE WHEN user_feedback = 'down' THEN 1 ELSE 0 END),
  COUNT(score), SUM(score)
FROM calls GROUP BY %s ORDER BY %s;
