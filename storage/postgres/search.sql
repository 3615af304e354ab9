-- Searching a table that has `words` (a tsvector) and, for vectors, `embedding`. `this` stands for the
-- table, `{visible}` for which of its rows are to be seen, `{where}` for which of those are wanted.

-- name: keyword
-- Best matches of the words in $2 first, by BM25 (Robertson and Zaragoza, "The Probabilistic
-- Relevance Framework: BM25 and Beyond", 2009; k1 = 1.2, b = 0.75, as in SQLite's FTS5), which
-- ts_rank is not: it does not know how rare a word is. All figures are those of the rows that are to
-- be seen. A word that a quarter of them have (and more than 1000) tells nothing, and is left out
-- unless there are only such words. How often a row has a word is read from ts_rank: for one word n
-- times it is (1 + 1/4 + .. + 1/n^2) / 1.6449341, and 1.6449341 minus that sum is nearly
-- 1 / (n + 1/2). Words with the label C (an item's context) count for half.
WITH seen AS MATERIALIZED (
  SELECT count(*)::float AS size, coalesce(avg(length(words)), 1)::float AS mean
  FROM (SELECT words FROM this WHERE {visible} LIMIT 10000) AS sample
), asked AS MATERIALIZED (
  SELECT quote_literal(lexeme)::tsquery AS query, greatest(1000, seen.size / 4)::int AS most
  FROM seen CROSS JOIN unnest(tsvector_to_array(argentbus_words($2))) AS lexeme
), counted AS MATERIALIZED (
  SELECT asked.query, asked.most, having_it.size
  FROM asked CROSS JOIN LATERAL (
    SELECT count(*)::float AS size FROM (
      SELECT 1 FROM this WHERE words @@ asked.query AND {visible} LIMIT 1 + asked.most) AS sample
  ) AS having_it
), telling AS MATERIALIZED (
  SELECT query,
    ln(1 + (greatest(seen.size - counted.size, 0) + 0.5) / (counted.size + 0.5)) AS weight
  FROM counted CROSS JOIN seen
  WHERE counted.size <= most OR NOT EXISTS (SELECT FROM counted WHERE size BETWEEN 1 AND most)
), scored AS (
  SELECT hit.id, sum(telling.weight * hit.frequency * 2.2
    / (hit.frequency + 1.2 * (0.25 + 0.75 * hit.size / seen.mean))) AS score
  FROM seen CROSS JOIN telling CROSS JOIN LATERAL (
    SELECT this.id, length(this.words)::float AS size,
      (round(1 / (1.6449341 * (1 - ts_rank('{1,1,1,1}', words, telling.query))) - 0.5)
        + round(1 / (1.6449341 * (1 - ts_rank('{1,0,0,0}', words, telling.query))) - 0.5)
      ) / 2 AS frequency
    FROM this WHERE words @@ telling.query AND {visible} {where} LIMIT 10000
  ) AS hit
  GROUP BY hit.id ORDER BY score DESC, hit.id LIMIT $3
)
SELECT %s, scored.score FROM scored JOIN this USING (id)
ORDER BY scored.score DESC, this.id;

-- name: embedded
-- How many have an embedding; no further than $2 is counted.
SELECT count(*) FROM (
  SELECT 1 FROM this WHERE embedding IS NOT NULL AND {visible} {where} LIMIT $2
) AS seen;

-- name: nearest_of_many
-- The nearest to $2 by cosine similarity, by the index. It is scanned until enough are found that
-- the agent may see (`hnsw.iterative_scan`), and they come nearly in order. Vectors of zeros are not
-- in it.
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
