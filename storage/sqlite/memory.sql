-- name: search_keyword
-- Best matches of the words in $1 first; bm25 is smaller for better ones.
SELECT %s, -bm25(memory_items_fts) AS score
FROM memory_items_fts JOIN memory_items ON memory_items.seq = memory_items_fts.rowid
WHERE memory_items_fts MATCH $1
  AND ($2 = '' OR agent_id = $2 OR visibility IN ('family', 'public'))
ORDER BY score DESC, memory_items.id LIMIT $3;
