-- Vectors of a table: `this` stands for it.

-- name: count
SELECT count(*), count(embedding) FROM this;

-- name: drop
-- SQLite; PostgreSQL does so where it changes the column's type.
UPDATE this SET embedding = NULL WHERE embedding IS NOT NULL;
