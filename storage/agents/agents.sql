-- name: register_agent
-- Who is known already keeps its role, where none is given, and since when it is known.
INSERT INTO agents (id, name, role, status, config, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (id) DO UPDATE SET
  name = excluded.name, role = COALESCE(excluded.role, agents.role), status = excluded.status,
  config = excluded.config, updated_at = excluded.updated_at;

-- name: update_agent
-- %s is the list of assignments, from $3 on. $2 is who does it; empty for operators.
UPDATE agents SET %s WHERE id = $1 AND ($2 = '' OR id = $2) RETURNING id;

-- name: get_agent
-- Everybody may know who there is; how an agent is configured only itself and operators.
SELECT agents.id, agents.name, agents.role, agents.status, own.config, agents.created_at,
  agents.updated_at
FROM agent_registry AS agents LEFT JOIN agents AS own ON own.id = agents.id AND ($1 = '' OR own.id = $1)
WHERE agents.id = $2;

-- name: list_agents
-- By id. An empty $2 or $3 stands for any role, any status.
SELECT agents.id, agents.name, agents.role, agents.status, own.config, agents.created_at,
  agents.updated_at
FROM agent_registry AS agents LEFT JOIN agents AS own ON own.id = agents.id AND ($1 = '' OR own.id = $1)
WHERE ($2 = '' OR agents.role = $2) AND ($3 = '' OR agents.status = $3)
ORDER BY agents.id LIMIT $4 OFFSET $5;
