-- name: sessions_of
-- Of the ids in the list $1, whose they are.
SELECT id, agent_id FROM sessions WHERE id IN (SELECT jsonb_array_elements_text($1::jsonb));
