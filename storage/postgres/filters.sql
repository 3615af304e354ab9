-- name: extra
-- The key $2 has the value that $3 says in JSON.
memory_items.extra @> jsonb_build_object($2::text, $3::jsonb)
