-- The dimension of vectors, for which SQLite has a row from here on. Here the type of the columns
-- says it, to people as well.

COMMENT ON COLUMN memory_items.embedding IS
  'Its type has the dimension of all vectors; `argentbus migrate dimension` changes it.';
