-- Searching a table that has `seq` and a full-text table `this_fts` for it. `this` stands for the
-- table, `{visible}` for which of its rows are to be seen, `{where}` for which of those are wanted.

-- name: keyword
-- Best matches of the words in $2 first, by the table's BM25; `rank` is smaller for better ones.
SELECT %s, -this_fts.rank AS score
FROM this_fts JOIN this ON this.seq = this_fts.rowid
WHERE this_fts MATCH $2
  AND {visible} {where}
ORDER BY score DESC, this.id LIMIT $3;

-- name: embeddings
-- What a vector search compares with.
SELECT id, embedding FROM this WHERE embedding IS NOT NULL AND {visible} {where};

-- name: by_id
-- %s: the columns, then as many placeholders as there are ids.
SELECT %s FROM this WHERE this.id IN (%s) AND {visible};
