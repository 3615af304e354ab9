-- name: extra
-- The key $2 has the value that $3 says in JSON. True and 1 are two things, 1 and 1.0 are one.
EXISTS (
  SELECT 1 FROM json_each(memory_items.extra) AS pair
  WHERE pair.key = $2 AND pair.atom IS json_extract($3, '$') AND (
    pair.type = json_type($3)
    OR pair.type IN ('integer', 'real') AND json_type($3) IN ('integer', 'real')))
