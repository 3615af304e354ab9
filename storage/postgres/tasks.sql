-- What PostgreSQL says in its own way.

-- name: locked
FOR UPDATE OF tasks

-- name: unless_locked
-- Whoever claims at the same time takes the next best ones, and waits for nobody.
FOR UPDATE OF tasks SKIP LOCKED

-- name: follow_queue
-- A table that grows quickly has no statistics yet: without them PostgreSQL would rather sort all that
-- is pending than follow its index.
SELECT set_config('enable_sort', 'off', true);

-- name: by_lease

-- name: by_queue

-- name: has_all
-- Whether the list `this` has all that is in the list %s.
tasks.this @> %s::jsonb

-- name: has_keys
-- Whether the metadata have the keys of the object %s, with the same plain values.
tasks.metadata @> %s::jsonb
