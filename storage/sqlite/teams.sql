-- What SQLite says in its own way.

-- name: locked
-- There is one writer at a time: rows need no locks.
