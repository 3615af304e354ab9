-- What PostgreSQL says in its own way.

-- name: locked
FOR UPDATE OF teams
