-- name: search_keyword
-- Best matches of the words in $2 first; bm25 is smaller for better ones.
SELECT %s, -bm25(memory_items_fts) AS score
FROM memory_items_fts JOIN memory_items ON memory_items.seq = memory_items_fts.rowid
WHERE memory_items_fts MATCH $2
  AND {visible_items}
ORDER BY score DESC, memory_items.id LIMIT $3;
