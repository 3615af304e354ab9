-- name: keep_row
-- Its id follows from the row: what has the same one is the same row, as it was before.
INSERT INTO imported_rows (
  id, agent_id, source, source_table, source_key, content, imported_at
) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (id) DO UPDATE SET content = excluded.content, imported_at = excluded.imported_at;

-- name: forget_row
DELETE FROM imported_rows WHERE id = $2 AND agent_id = $1;

-- name: list_rows
-- By table and key. An empty $2 stands for any table.
SELECT %s FROM imported_rows
WHERE {own imported_rows} AND ($2 = '' OR source_table = $2)
ORDER BY source, source_table, source_key, id LIMIT $3 OFFSET $4;
