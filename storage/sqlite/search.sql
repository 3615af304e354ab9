-- Searching a table that has `seq` and a full-text table `this_fts` for it. `this` stands for the
-- table, `{visible}` for which of its rows are to be seen, `{where}` for which of those are wanted.

-- name: keyword
-- Best matches of the words in $2 first, by the table's BM25; `rank` is smaller for better ones.
SELECT %s, -this_fts.rank AS score
FROM this_fts JOIN this ON this.seq = this_fts.rowid
WHERE this_fts MATCH $2
  AND {visible} {where}
ORDER BY score DESC, this.id LIMIT $3;

-- name: seen
-- The rows with an embedding; no further than $2 of them.
SELECT seq FROM this WHERE typeof(embedding) = 'blob' AND {visible} {where} LIMIT $2;

-- name: some
-- Of the rows in the list $2, those to be seen. CROSS keeps SQLite from another order.
SELECT this.id, this.embedding FROM json_each($2) AS one CROSS JOIN this ON this.seq = one.value
WHERE typeof(this.embedding) = 'blob' AND {visible} {where};

-- name: all
-- Those with an embedding of $2 bytes.
SELECT id, embedding FROM this
WHERE typeof(embedding) = 'blob' AND length(embedding) = $2 AND {visible} {where};

-- name: newest
-- The newest change.
SELECT change, mark FROM this_changes ORDER BY change DESC LIMIT 1;

-- name: since
-- The change $1 and what came after it.
SELECT change, mark, seq FROM this_changes WHERE change >= $1 ORDER BY change;

-- name: embeddings
SELECT seq, embedding FROM this WHERE typeof(embedding) = 'blob';

-- name: embeddings_of
-- Of the rows in the list $1.
SELECT this.seq, this.embedding FROM json_each($1) AS one CROSS JOIN this ON this.seq = one.value
WHERE typeof(this.embedding) = 'blob';

-- name: by_id
-- %s: the columns, then as many placeholders as there are ids.
SELECT %s FROM this WHERE this.id IN (%s) AND {visible};
