-- Searching a table that has `words` (a tsvector) and, for vectors, `embedding`. `this` stands for the
-- table, `{visible}` for which of its rows are to be seen, `{where}` for which of those are wanted.

-- name: keyword
-- Best matches of the words in $2 first, by BM25 (Robertson and Zaragoza, "The Probabilistic
-- Relevance Framework: BM25 and Beyond", 2009; k1 = 1.2, b = 0.75, as in SQLite's FTS5). ts_rank
-- does not know how rare a word is: it only chooses the 500 that are weighed. How many items have
-- a word is counted among these, and an item's length is that of its vocabulary.
WITH matched AS MATERIALIZED (
  SELECT this.id, this.words, length(this.words)::float AS size
  FROM this, websearch_to_tsquery('argentbus', argentbus_fold($2)) AS query
  WHERE this.words @@ query AND {visible} {where}
  ORDER BY ts_rank(this.words, query, 1) DESC, this.id LIMIT 500
), collection AS (
  SELECT avg(size) AS mean_size, GREATEST(count(*), (
    SELECT reltuples FROM pg_class WHERE oid = 'public.this'::regclass)) AS size
  FROM matched
), hits AS (
  SELECT matched.id, matched.size, word.lexeme,
    COALESCE(cardinality(word.positions), 1)::float AS frequency
  FROM matched CROSS JOIN LATERAL unnest(matched.words) AS word
  WHERE word.lexeme = ANY (tsvector_to_array(argentbus_words($2)))
), rarity AS (
  SELECT lexeme, ln(1 + (max(collection.size) - count(*) + 0.5) / (count(*) + 0.5)) AS weight
  FROM hits, collection GROUP BY lexeme
), scored AS (
  SELECT hits.id, sum(rarity.weight * hits.frequency * 2.2 / (
    hits.frequency + 1.2 * (0.25 + 0.75 * hits.size / collection.mean_size))) AS score
  FROM hits JOIN rarity USING (lexeme), collection GROUP BY hits.id
)
SELECT %s, scored.score FROM scored JOIN this USING (id)
ORDER BY scored.score DESC, this.id LIMIT $3;

-- name: seen
-- How many have an embedding, of those on about $2 pages (all pages, where there are no more: always
-- the same ones, of a table that stays as it is); how many pages there are, and about how many rows.
SELECT count(*), GREATEST(1, pg_relation_size('public.this') / current_setting('block_size')::int),
  (SELECT reltuples FROM pg_class WHERE oid = 'public.this'::regclass)
FROM this TABLESAMPLE SYSTEM (LEAST(100, 100 * $2::float8 / GREATEST(1,
  pg_relation_size('public.this') / current_setting('block_size')::int))) REPEATABLE (0)
WHERE embedding IS NOT NULL AND {visible} {where};

-- name: nearest_of_many
-- The nearest to $2 by cosine similarity, by the index. It is scanned until enough are found that
-- the agent may see (`hnsw.iterative_scan`), and they come nearly in order. Vectors of zeros are not
-- in it. Row-level security makes PostgreSQL believe that few rows are seen, and sort them: it is
-- asked to run with `enable_sort` off.
WITH near AS MATERIALIZED (
  SELECT id, embedding <=> $2::vector AS distance
  FROM this WHERE {visible} {where}
  ORDER BY embedding <=> $2::vector LIMIT $3
)
SELECT id, 1 - COALESCE(NULLIF(distance, 'NaN'), 1) AS similarity FROM near
WHERE distance IS NOT NULL ORDER BY similarity DESC, id;

-- name: nearest_of_few
-- The same exactly, for which all are compared; a vector of zeros is near to nothing.
SELECT id, 1 - COALESCE(NULLIF(embedding <=> $2::vector, 'NaN'), 1) AS similarity
FROM this
WHERE embedding IS NOT NULL AND {visible} {where}
ORDER BY similarity DESC, id LIMIT $3;

-- name: by_id
-- %s: the columns, then as many placeholders as there are ids.
SELECT %s FROM this WHERE this.id IN (%s) AND {visible};
