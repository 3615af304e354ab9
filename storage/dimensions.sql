-- Vectors of a table: `this` stands for it.

-- name: count
SELECT count(*), count(embedding) FROM this;

-- name: drop
-- SQLite; PostgreSQL does so where it changes the column's type. No index and no trigger is about
-- this column there.
UPDATE this SET embedding = NULL WHERE embedding IS NOT NULL;
