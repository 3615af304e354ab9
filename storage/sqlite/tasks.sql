-- What SQLite says in its own way.

-- name: locked
-- There is one writer at a time: rows need no locks.

-- name: unless_locked

-- name: follow_queue
-- The index is named, below.
SELECT 1;

-- name: by_lease
INDEXED BY tasks_claimed_until

-- name: by_queue
-- Without statistics SQLite would rather sort all that is pending.
INDEXED BY tasks_ready

-- name: has_all
-- Whether the list `this` has all that is in the list %s.
NOT EXISTS (SELECT 1 FROM json_each(%s) AS wanted
  WHERE wanted.value NOT IN (SELECT had.value FROM json_each(tasks.this) AS had))

-- name: has_keys
-- Whether the metadata have the keys of the object %s, with the same plain values.
NOT EXISTS (SELECT 1 FROM json_each(%s) AS wanted WHERE NOT EXISTS (
  SELECT 1 FROM json_each(tasks.metadata) AS had
  WHERE had.key = wanted.key AND had.value IS wanted.value
    AND replace(had.type, 'real', 'integer') = replace(wanted.type, 'real', 'integer')))
